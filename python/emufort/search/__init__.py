"""Step 1: train many candidates on a small subset and cut them by successive halving."""
