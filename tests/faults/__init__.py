"""Every row of the fault table, injected into the whole daemon: `python -m tests.faults`."""
