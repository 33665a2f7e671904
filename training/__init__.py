"""Learns from journals and traces what the daemon loads. Needs torch; never on the Pi."""
