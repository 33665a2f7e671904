"""One record per tick: written, compressed, read again."""
