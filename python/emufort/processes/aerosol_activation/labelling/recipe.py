"""The recipe of a data set: everything that determines its values."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emufort.dataset.splits import SPLITS
from emufort.processes.aerosol_activation.labelling.inputs import SampledInput, sampled_inputs
from emufort.processes.aerosol_activation.labelling.sampling import sample_split
from emufort.processes.aerosol_activation.parcel_model import ParcelOptions, source_hash
from emufort.processes.aerosol_activation.preset import Preset

#: Version of sampling, classical schemes and file format. Raise it when one of them changes.
VERSION = 2

#: What of a preset determines the data set; the rest are texts.
_OF_PRESET = {
    *("name", "constants", "parcel", "modes", "accumulation"),
    *("air_temperature", "air_pressure", "updraft_speed"),
}


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the values of a data set.

    Attributes
    ----------
    preset : Preset
        Modes, ranges and constants of the host.
    train, validation, test : int
        Samples of each split.
    seed : int
        Seed of the training split; validation and test use the next two.
    bins : int
        Cells per mode for the training samples.
    judging_bins : int
        Cells per mode for the validation and test samples, by which networks are judged.
    half_width : float
        Half width of the range of cells of a mode [standard deviations of ln radius].
    options : ParcelOptions
        Numerical options of the parcel model.
    """

    preset: Preset
    train: int
    validation: int
    test: int
    seed: int = 1
    bins: int = 60
    judging_bins: int = 150
    half_width: float = 5.0
    options: ParcelOptions = field(default_factory=ParcelOptions)

    @classmethod
    def of(cls, preset: Preset, samples: int, seed: int = 1) -> Self:
        """Return the recipe for a number of training samples.

        There is one validation sample per 8 training samples and one test sample per 4.
        """
        return cls(preset, samples, max(1, samples // 8), max(1, samples // 4), seed)

    @property
    def rows(self) -> int:
        """Number of samples of all splits."""
        return sum(self.sizes().values())

    def sizes(self) -> dict[str, int]:
        """Return the number of samples of each split, in storage order."""
        return {split: getattr(self, split) for split in SPLITS}

    def bins_of(self, split: str) -> int:
        """Return the number of cells per mode for the samples of a split."""
        return self.bins if split == "train" else self.judging_bins

    @cached_property
    def inputs(self) -> tuple[SampledInput, ...]:
        """The columns of a sample."""
        return sampled_inputs(self.preset)

    @property
    def geometric_standard_deviation(self) -> NDArray[np.float64]:
        """Geometric standard deviations of the modes [1], shape (mode,)."""
        return np.array([mode.sigma for mode in self.preset.modes.values()])

    def samples(self) -> dict[str, NDArray[np.float32]]:
        """Return the samples of each split, shape (n, n_inputs), in storage order."""
        return {
            split: sample_split(split, n, self.seed, self.inputs)
            for split, n in self.sizes().items()
        }

    def split_flags(self) -> NDArray[np.int8]:
        """Return the flag of the split of each sample, shape (n,)."""
        return np.repeat(np.arange(len(SPLITS), dtype=np.int8), list(self.sizes().values()))

    def fingerprint(self) -> str:
        """Return a hash of the recipe and of the sources of the parcel model.

        The compiler and the processor are not part of it: labels of two builds differ by less than
        the error of the solver. Texts of the preset that change no value are not part of it either.
        """
        preset = self.preset.model_dump(include=_OF_PRESET, mode="json")
        others = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "preset"}
        content = [
            VERSION,
            {**preset, "modes": list(preset["modes"].items())},  # the order of the modes counts
            {**others, "options": asdict(self.options)},
            source_hash(),
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
