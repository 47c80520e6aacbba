"""Training data on disk that every worker maps into memory, so that all share one copy.

The files are .npy (no pickle) and belong to the driver, which removes them.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from emufort.dataset.dataset import Dataset
from emufort.dataset.rows import blocks
from emufort.dataset.targets import Targets
from emufort.errors import EmufortError
from emufort.files import make_directory, write_array, write_json
from emufort.network.scaler import Scaler
from emufort.training import Arrays
from emufort.training.scaling import fit_scalers
from emufort.workers.judge import Judge
from emufort.workers.trainer_cache import TrainerCache

_NAMES = ("x_train", "y_train", "x_validation", "y_validation")


@dataclass(frozen=True)
class SharedArrays:
    """`Arrays` in a folder that all workers can read.

    Attributes
    ----------
    folder
        Absolute path; its name is unique, because workers cache the data by folder.
    """

    folder: Path

    @classmethod
    def write(cls, arrays: Arrays, parent: Path) -> Self:
        """Store `arrays` in a new folder under `parent`."""
        with cls._begin(parent) as stored:
            for name in _NAMES:
                values: np.ndarray = getattr(arrays, name)
                stored._save(name, values.shape, (values[part] for part in blocks(len(values))))
            write_json(stored.folder / "sigmoid.json", list(arrays.sigmoid))
        return stored

    @classmethod
    def from_datasets(
        cls, train: Dataset, validation: Dataset, parent: Path
    ) -> tuple[Self, Scaler, Scaler]:
        """Do the same as `Arrays.from_datasets`, but block by block without a copy in memory.

        Parameters
        ----------
        train, validation
            Rows of both splits.
        parent
            Folder in which the folder of the arrays is made.

        Returns
        -------
        stored
            The arrays on disk.
        x_scaler, y_scaler
            Scalers fitted to `train`.
        """
        with cls._begin(parent) as stored:
            return stored, *stored._fill(train, validation)

    @classmethod
    def from_targets(
        cls, train: Targets, validation: Targets, parent: Path, judged: bool = False
    ) -> tuple[Self, dict[str, tuple[Scaler, Scaler]]]:
        """Do the same as `from_datasets` for every target; return the scalers by target.

        With `judged`, also write the few rows that a worker needs to compare targets.
        """
        scalers = {}
        with cls._begin(parent) as stored:
            for i, (name, rows) in enumerate(train.data.items()):
                one = cls(make_directory(stored.folder / str(i)))
                scalers[name] = one._fill(rows, validation.data[name])
                if judged and train.named:
                    judge = Judge.of(validation.data[name], scalers[name], validation.judge)
                    judge.save(one.folder)
            write_json(stored.folder / "targets.json", list(train.data))
        return stored, scalers

    def _fill(self, train: Dataset, validation: Dataset) -> tuple[Scaler, Scaler]:
        x_scaler, y_scaler = fit_scalers(train)
        widths = len(x_scaler.varying), len(y_scaler.varying)
        for part, data in (("train", train), ("validation", validation)):
            x, y = data.feature_blocks(), data.target_blocks()
            self._save(f"x_{part}", (len(data), widths[0]), map(x_scaler.forward, x))
            self._save(f"y_{part}", (len(data), widths[1]), map(y_scaler.forward, y))
        sigmoid = [y_scaler.kinds[j] == "sigmoid" for j in y_scaler.varying]
        write_json(self.folder / "sigmoid.json", sigmoid)
        return x_scaler, y_scaler

    @classmethod
    @contextmanager
    def _begin(cls, parent: Path) -> Iterator[Self]:
        """Make a new folder to be filled, and remove it if filling fails."""
        cls.clear(parent)
        stored = cls(make_directory(parent.resolve() / f"arrays-{uuid.uuid4().hex}"))
        try:
            yield stored
        except BaseException:
            stored.remove()
            raise

    def _save(self, name: str, shape: tuple[int, ...], parts: Iterable[np.ndarray]) -> None:
        write_array(self.folder / f"{name}.npy", shape, np.float32, parts)

    def load(self) -> Arrays:
        """Map the arrays into memory; pages are shared until a process writes to them.

        Raises
        ------
        EmufortError
            This process cannot read the folder.
        """
        try:
            mapped = [
                np.load(self.folder / f"{name}.npy", mmap_mode="c", allow_pickle=False)
                for name in _NAMES
            ]
            sigmoid = json.loads((self.folder / "sigmoid.json").read_text())
        except OSError as error:
            raise EmufortError(
                f"a worker cannot read {self.folder}: {error.strerror}; workers on other machines "
                "need an --out on a disk that they share with the driver"
            ) from error
        return Arrays(mapped[0], mapped[1], mapped[2], mapped[3], tuple(sigmoid))

    def trainers(self, backend: str = "torch", device: str = "cpu") -> TrainerCache:
        """Return the trainers for these arrays, of one or several targets.

        Raises the errors of `load`.
        """
        index = self.folder / "targets.json"
        if not index.exists():
            return TrainerCache({"": self.load()}, backend, device)
        names = json.loads(index.read_text())
        parts = {name: SharedArrays(self.folder / str(i)) for i, name in enumerate(names)}
        judges = {name: Judge.load(part.folder) for name, part in parts.items()}
        return TrainerCache(
            {name: part.load() for name, part in parts.items()},
            backend,
            device,
            {name: judge for name, judge in judges.items() if judge is not None},
        )

    def remove(self) -> None:
        """Remove the files; workers that have mapped them keep their view."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def clear(parent: Path) -> None:
        """Remove what a killed driver left in `parent`."""
        for folder in parent.glob("arrays-*"):
            shutil.rmtree(folder, ignore_errors=True)
