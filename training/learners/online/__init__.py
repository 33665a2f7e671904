"""Learners that act in simulated sites."""
