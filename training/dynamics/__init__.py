"""The forward dynamics model."""
