"""Cost of a search for the front of skill and time: `python -m benchmarks.objectives`."""
