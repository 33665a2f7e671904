"""The simulated radio network: medium, slaves, coordinator."""
