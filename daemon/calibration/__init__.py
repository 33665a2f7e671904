"""Calibration of the anomaly detector on the site's own days."""
