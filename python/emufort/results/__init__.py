"""Results of a run as tables for pandas and xarray."""
