"""The imperative shell: loop, configuration, journal, metrics, commands. It computes no setpoints."""
