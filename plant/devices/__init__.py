"""Devices that people own, at the far end of their own wires: strict as the hardware, and as forgetful."""
