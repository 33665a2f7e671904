"""What the commands share: options, exit codes, interruption."""
