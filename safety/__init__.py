"""The last word before the radio. Imports nothing but `core`."""
