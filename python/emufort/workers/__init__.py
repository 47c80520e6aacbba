"""Run units of work in worker processes, on Dask or in batch systems, on shared data."""
