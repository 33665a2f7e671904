"""Transitions: files, replay buffers, hindsight."""
