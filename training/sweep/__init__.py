"""Search for settings of a learner on Ray Tune."""
