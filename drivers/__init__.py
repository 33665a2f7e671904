"""Meters and radio: one package per kind of wire, behind the ports of `drivers.ports`."""
