"""The parts of a data set: which rows train, which choose, which only judge."""

#: Names of the splits; a split variable holds their positions in this tuple.
SPLITS = ("train", "validation", "test")

#: Shares of a data set that comes without a split variable, drawn with a fixed seed.
DEFAULT_SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
