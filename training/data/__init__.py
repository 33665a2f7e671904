"""Days, journals and logs as training data."""
