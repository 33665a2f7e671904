"""Campaigns on months that are drawn: nothing measured and no simulated slave is in them."""
