"""Make data sets of aerosol activation: sampling, labelling with the parcel model, writing.

`labelled` returns the data set of a preset as a file in the cache folder, and `make` in memory.
Worker processes import nothing of this package, because its imports take longer than a chunk.
"""

from emufort.processes.aerosol_activation.labelling.dataset import labelled, make, write_labels
from emufort.processes.aerosol_activation.labelling.recipe import Recipe

__all__ = ["Recipe", "labelled", "make", "write_labels"]
