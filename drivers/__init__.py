"""Wires: one file per kind of wire, all behind the two doors of `drivers.ports`."""
