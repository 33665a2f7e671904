"""The operating system's side: clock, log, files, systemd."""
