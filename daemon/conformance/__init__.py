"""Does a slave keep the rules of docs/develop/setpoint-protocol.md? Asked over the air, with the real
radio."""
