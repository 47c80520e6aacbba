"""Measured inference time of networks and baselines."""
