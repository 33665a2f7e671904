"""Behaviour cloning from demonstrations."""
