"""Controllers on the same days: results relative to the PI, with intervals."""
