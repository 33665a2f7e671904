"""Outputs of a training: checkpoints, bundles, records of runs."""
