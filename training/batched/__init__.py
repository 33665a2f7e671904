"""Many simulated sites at once, as tensors."""
