"""The anomaly detector learns the site's own days."""
