"""The splits of a data set: training, validation (selects networks) and test (final skill)."""

#: Names of the splits; a split variable holds their positions in this tuple.
SPLITS = ("train", "validation", "test")

#: Shares of the splits of a data set without a split variable, drawn with a fixed seed.
DEFAULT_SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
