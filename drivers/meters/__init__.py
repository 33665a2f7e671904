"""Meters: Modbus (TCP, serial) and pushed telegrams (P1, SML)."""
