"""The policy that ships, and its retraining on a site's own days."""
