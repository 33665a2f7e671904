"""What the site did over some days, told from its own journals."""
