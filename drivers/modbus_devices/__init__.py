"""Slaves that speak Modbus TCP: one TOML profile per kind of device, and a dead-man that is read back."""
