"""Learners of policies: one file each, one loop for all."""
