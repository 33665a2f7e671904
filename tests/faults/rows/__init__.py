"""The rows of the fault table."""
