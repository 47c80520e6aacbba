"""Where units of work run: worker processes, Dask, batch systems; the data that they share."""
