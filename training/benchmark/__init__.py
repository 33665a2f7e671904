"""Learners and options against each other."""
