"""The physics of a site: pure functions and measured days."""
