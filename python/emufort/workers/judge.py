"""Compare networks of different targets by one measure: the error of the skill variables."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.dataset.rows import blocks
from emufort.files import read_json, write_array, write_json
from emufort.network.emulator import Emulator
from emufort.network.scaler import Scaler
from emufort.skill import SKILL_BLOCK, Pair, Yardstick, compare_blocks, skill_values
from emufort.training import Layout, TrainerState

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Judge:
    """Computes the error of networks of one target over the validation rows of a search.

    Attributes
    ----------
    contract, x_scaler, y_scaler
        Contract and scalers of the target.
    common
        The contract whose skill variables compare all targets.
    x
        Inputs (n, n_inputs) of the target's contract, physical units.
    yardstick
        Reference values that errors are measured against.
    truth
        Skill variables in the order of the labels of the common contract (n, k).
    widths
        Number of columns of each skill variable in `truth`.
    """

    contract: Contract
    x_scaler: Scaler
    y_scaler: Scaler
    common: Contract
    yardstick: Yardstick
    x: Array
    truth: Array
    widths: tuple[int, ...]

    @classmethod
    def of(cls, rows: Dataset, scalers: tuple[Scaler, Scaler], judge: Dataset) -> Self:
        """Return the judge for rows that are read by the target and by the common contract.

        Parameters
        ----------
        rows
            Validation rows as read by the target's contract.
        scalers
            Input and output scaler of the target.
        judge
            The same rows as read by the common contract.
        """
        true = skill_values(judge.contract, judge.x, judge.y)
        blocks_ = [true[v] for v in judge.contract.skill_variables]
        widths = tuple(block.shape[1] for block in blocks_)
        truth = np.concatenate(blocks_, axis=1)
        yardstick = Yardstick.of(judge)
        return cls(
            rows.contract, *scalers, judge.contract, yardstick, np.array(rows.x), truth, widths
        )

    def error(self, state: TrainerState) -> float:
        """Return the RMSE of the best weights of a training, infinite if it is not finite."""
        architecture = state.task.architecture
        if state.stopped == "diverged":
            return math.inf
        parameters = Layout(architecture).parameters(state.best_weights)
        emulator = Emulator(self.contract, architecture, self.x_scaler, self.y_scaler, parameters)
        ends = np.cumsum(self.widths)[:-1]

        def pairs() -> Iterator[Pair]:
            names = self.common.skill_variables
            for part in blocks(len(self.x), SKILL_BLOCK):
                x = self.x[part]
                true = dict(zip(names, np.split(self.truth[part], ends, axis=1), strict=True))
                yield skill_values(self.contract, x, emulator.predict(x)), true

        with np.errstate(all="ignore"):
            error = compare_blocks(self.common, self.yardstick, pairs).overall.rmse
        return error if math.isfinite(error) else math.inf

    # ------------------------------------------------------------------ files

    def save(self, folder: Path) -> None:
        """Write ``judge.json``, ``judge_x.npy`` and ``judge_truth.npy`` to `folder`.

        Raises
        ------
        StorageError
            The disk is full, or the folder is not writable.
        """
        for name, values in (("x", self.x), ("truth", self.truth)):
            write_array(folder / f"judge_{name}.npy", values.shape, np.float64, [values])
        write_json(
            folder / "judge.json",
            {
                "contract": self.contract.to_dict(),
                "common": self.common.to_dict(),
                "yardstick": self.yardstick.to_dict(),
                "x_scaler": self.x_scaler.to_dict(),
                "y_scaler": self.y_scaler.to_dict(),
                "widths": list(self.widths),
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Read the files that `save` wrote; None if there are none."""
        if not (folder / "judge.json").exists():
            return None
        content = read_json(folder / "judge.json")
        x, truth = (
            np.load(folder / f"judge_{name}.npy", allow_pickle=False) for name in ("x", "truth")
        )
        return cls(
            Contract.from_dict(content["contract"], str(folder)),
            Scaler.from_dict(content["x_scaler"]),
            Scaler.from_dict(content["y_scaler"]),
            Contract.from_dict(content["common"], str(folder)),
            Yardstick.from_dict(content["yardstick"]),
            x,
            truth,
            tuple(content["widths"]),
        )
