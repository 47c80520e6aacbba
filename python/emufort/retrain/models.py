"""The retrained networks of step 2 as later steps read them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emufort.brief import brief
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError
from emufort.files import read_json, read_table
from emufort.network.emulator import Emulator
from emufort.paths import PathLike
from emufort.results.table import Table
from emufort.retrain.ranking import ranking
from emufort.retrain.table import Retrained

if TYPE_CHECKING:
    import pandas
    import xarray


@dataclass(frozen=True)
class Models:
    """Retrained networks.

    Attributes
    ----------
    folder
        Folder of the networks.
    rows
        One entry per network, best validation skill first.
    data
        The data they were trained on.
    seed
        Random seed of the run: of the search, of step 2 and of the samples that are timed.
    study
        Folder of the search that found them; None if it is not known.
    """

    folder: Path
    rows: tuple[Retrained, ...]
    data: Dataset
    seed: int = 1
    study: Path | None = None

    @classmethod
    def load(cls, folder: PathLike, data: Dataset, study: PathLike | None = None) -> Models:
        """Read the retrained networks in `folder`.

        Parameters
        ----------
        folder
            The folder of the retrained networks, such as ``runs/a/retrain``.
        data
            The data set that they were trained on.
        study
            Folder of the search that found them; default None: the folder ``search`` next to
            `folder`, if it exists.

        Raises
        ------
        EmufortError
            There are no retrained networks in `folder`, or a table is damaged.
        """
        folder = Path(folder)
        table = folder / "candidates.csv"
        if not table.is_file():
            raise EmufortError(f"there are no retrained networks in {folder}; run step 2 first")
        identity = read_json(folder / "retrain.json")["identity"]
        searched = folder.parent / "search" if study is None else Path(study)
        known = searched if (searched / "search.json").is_file() else None
        rows = tuple(read_table(table, Retrained))
        return cls(folder, rows, data, int(identity["seed"]), known)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Retrained]:
        return iter(self.rows)

    def __repr__(self) -> str:
        best = next(iter(self.trained), None)
        return brief(
            self,
            str(self.folder),
            f"{len(self)} networks",
            f"best {best.id} ({best.label}), RMSE {best.rmse:.3g}" if best else "all diverged",
        )

    @property
    def trained(self) -> tuple[Retrained, ...]:
        """The rows of the networks that did not diverge."""
        return tuple(row for row in self.rows if math.isfinite(row.rmse))

    def table(self) -> Table:
        """Return the networks as a table, best validation skill first."""
        return networks_table(self.rows, self.data.contract.error_units)

    def ranking(self) -> Table:
        """Return the candidates as a table: their scores averaged over seeds, best first."""
        units = self.data.contract.error_units
        return Table.of("trial", ranking(self.rows), units)

    def to_pandas(self) -> pandas.DataFrame:
        """Return the networks as a DataFrame, see `Table.to_pandas`."""
        return self.table().to_pandas()

    def to_xarray(self) -> xarray.Dataset:
        """Return the networks as a Dataset with the coordinate id."""
        return self.table().to_xarray()

    def weights(self, identity: str) -> Path:
        """Return the path of the weights file of one network."""
        return self.folder / identity / "weights.safetensors"

    def emulator(self, identity: str) -> Emulator:
        """Read one network by its identity, such as ``"t00012-s1"``."""
        return Emulator.load(self.weights(identity))


def networks_table(rows: Sequence[Retrained], units: str) -> Table:
    """Return networks as a table.

    Parameters
    ----------
    rows
        The networks, best first.
    units
        Unit of their errors; empty if it is not known.
    """
    return Table.of("id", [row.row() for row in rows], units)
