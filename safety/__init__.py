"""Gate, supervisor, detectors and fallbacks. Imports nothing but `core`."""
