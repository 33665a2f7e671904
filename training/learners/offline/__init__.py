"""Learners from recorded transitions."""
