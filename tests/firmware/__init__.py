"""The reference slave in C."""
