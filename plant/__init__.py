"""The simulated site: physics, measured days, and at the far end of the real wires a meter and a radio."""
