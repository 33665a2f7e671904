"""Commands of engineers: policies, simulated sites, journals."""
