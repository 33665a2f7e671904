"""Commands of the training side; `daemon.cli.command_line` finds them by name at run time."""
