"""Step 1: many candidates on a small subset, cut by successive halving; see `driver.search`."""
