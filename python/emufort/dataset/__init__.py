"""CF data as arrays: reader, checks, units, splits, rows on disk, targets."""
