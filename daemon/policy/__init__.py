"""The policy of a running daemon: swapped, watched, compared with the fallback, walked through its plan."""
