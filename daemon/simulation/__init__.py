"""The same decisions without wires: simulate, replay, score."""
