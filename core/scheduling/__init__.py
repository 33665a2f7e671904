"""Staged slaves: which are switched, and what that leaves to the modulating ones."""
