"""Safety campaigns: each is a command that prints a table, and a short form that pytest runs.

``python -m tests.campaigns.NAME [--trials N] [--seed S]``; what they showed is in
docs/results/safety-campaigns.md.
"""
