"""The daemon's life around the loop: reload, policy swap, operator's socket, judge."""
