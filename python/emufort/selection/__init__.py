"""Choose one network by its skill and measured time."""
