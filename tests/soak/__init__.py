"""The whole daemon for days under a storm of faults: `python -m tests.soak`."""
