"""One tick on real devices: snapshot, decision, transmission."""
