"""The imperative shell: assembly, loop, settings, journal, metrics. No arithmetic on watts."""
