"""Step 2: train selected candidates of a search on all training rows; see `driver.retrain`."""
