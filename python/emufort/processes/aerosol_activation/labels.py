"""The label maker of the contracts that come with the process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from emufort.processes.aerosol_activation.preset import Preset

if TYPE_CHECKING:
    import xarray as xr

#: Preset whose modes, ranges and constants the bundled contracts have.
BUNDLED_PRESET = "e3sm_mam4"


def make_labels(samples: int, seed: int, advance: Callable[[int], object]) -> xr.Dataset:
    """Label samples for the bundled contracts with the compiled parcel model, on all cores.

    Repeating an interrupted call continues it, and repeating a finished one returns the same data
    set from the cache folder. There is one validation sample per 8 training samples and one test
    sample per 4 training samples.

    Raises
    ------
    EmufortError
        There is no Fortran compiler, or a file cannot be written.
    """
    from emufort.processes.aerosol_activation.labelling import make

    return make(Preset.load(BUNDLED_PRESET), samples, seed, advance)


def labelled(preset: Preset, samples: int, seed: int, report: Callable[[int, int], object]) -> Path:
    """Return the labels of a preset as a file, see `emufort.processes.process.Preset.labels`."""
    from emufort.processes.aerosol_activation import labelling

    rows, finished = labelling.Recipe.of(preset, samples, seed).rows, 0

    def advance(more: int) -> None:
        nonlocal finished
        finished += more
        report(finished, rows)

    return labelling.labelled(preset, samples, seed, advance)
