"""Does a slave keep the rules of docs/setpoint-protocol.md? Asked over the air, with the real radio."""
