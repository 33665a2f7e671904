"""Virtual meters at the far end of the wire."""
