"""Commands of the training side; `daemon.__main__` finds them by name at run time."""
