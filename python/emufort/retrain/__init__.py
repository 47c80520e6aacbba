"""Step 2: some candidates of a search on all training rows; see `driver.retrain`."""
