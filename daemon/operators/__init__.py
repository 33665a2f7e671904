"""What people may say to a running daemon, and what of it outlives restarts."""
