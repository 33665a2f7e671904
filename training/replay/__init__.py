"""Differentiable replay: the gradient goes through the simulated site."""
