"""Slaves that are one device on a wire of its own, whatever language it speaks."""
