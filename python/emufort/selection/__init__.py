"""The choice of one network by skill and measured time."""
