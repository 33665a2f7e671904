"""What a training leaves: checkpoints, bundles, records of runs."""
