"""Around the loop: start and end, reload, policy swap, operator's socket, policy monitor."""
