"""The owner's page for phones in the house: a login before a reader of the daemon's status page."""
