"""The evaluation of bundles."""
