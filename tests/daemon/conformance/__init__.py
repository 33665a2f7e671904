"""The conformance test of slaves."""
