"""The simulated site: pure physics, and the far ends of the real wires."""
