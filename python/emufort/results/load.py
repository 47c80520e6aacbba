"""All tables of a run folder."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emufort.brief import brief, listed
from emufort.errors import EmufortError
from emufort.files import read_csv, read_json, read_table
from emufort.paths import PathLike
from emufort.results.table import Table
from emufort.retrain.models import networks_table
from emufort.retrain.table import Retrained
from emufort.run.configuration import read_config
from emufort.run.folder import RunFolder
from emufort.run.inputs import contract_of
from emufort.run.status import must_hold_a_run
from emufort.search.result import load_search
from emufort.selection.select import selection_table

if TYPE_CHECKING:
    import pandas
    import xarray


@dataclass(frozen=True, repr=False)
class Results:
    """The tables of a run; None for a table that the run has not written yet.

    Attributes
    ----------
    folder
        The run folder.
    trials
        Trials of step 1 (index ``trial``), with the loss at every rung.
    networks
        Networks of step 2 (index ``id``), best first.
    ranking
        Candidates of step 2 (index ``trial``), averaged over seeds.
    predictions
        Calibrated final loss of every candidate (index ``trial``).
    times
        Measured times (index ``row``): one row per network or scheme and number of columns.
    selection
        Networks and classical schemes that were compared (index ``id``).
    """

    folder: Path
    trials: Table | None
    networks: Table | None
    ranking: Table | None
    predictions: Table | None
    times: Table | None
    selection: Table | None

    def __repr__(self) -> str:
        return brief(self, str(self.folder), listed(list(self.tables)))

    @property
    def tables(self) -> dict[str, Table]:
        """Name -> table, for the tables that the run has written."""
        named = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: table for name, table in named.items() if isinstance(table, Table)}

    def to_pandas(self) -> dict[str, pandas.DataFrame]:
        """Return every table as a DataFrame, see `Table.to_pandas`."""
        return {name: table.to_pandas() for name, table in self.tables.items()}

    def to_xarray(self) -> dict[str, xarray.Dataset]:
        """Return every table as a Dataset, see `Table.to_xarray`."""
        return {name: table.to_xarray() for name, table in self.tables.items()}


def load_results(folder: PathLike) -> Results:
    """Read the tables of a run folder, without its data.

    Parameters
    ----------
    folder : path
        The run folder, of a run that is finished or at work.

    Returns
    -------
    Results
        The tables; a table that the run has not written yet is None.

    Raises
    ------
    UsageError
        The folder holds no run.
    EmufortError
        A table is damaged.
    """
    files = RunFolder(Path(folder))
    must_hold_a_run(files)
    units = ""
    with suppress(EmufortError):
        config = read_config(files)[0]
        units = contract_of(config).error_units if config is not None else ""

    def table(path: Path, index: str) -> Table | None:
        return Table.of(index, _rows(path), units) if path.is_file() else None

    trials = None
    if (files.search / "search.json").is_file():
        summary = read_json(files.search / "search.json")
        # The error of `load_search` says what is wrong with a summary that is damaged.
        if not isinstance(summary, dict) or summary.get("finished"):
            trials = load_search(files.search).table()
    networks = None
    if (files.retrain / "candidates.csv").is_file():
        rows = read_table(files.retrain / "candidates.csv", Retrained)
        networks = networks_table(rows, units)
    times = _rows(files.timing) if files.timing.is_file() else None
    chosen = read_json(files.selection) if files.selection.is_file() else None
    return Results(
        files.path,
        trials,
        networks,
        table(files.retrain / "ranking.csv", "trial"),
        table(files.retrain / "predictions.csv", "trial"),
        None if times is None else Table.of("row", [{"row": i, **r} for i, r in enumerate(times)]),
        None if chosen is None else selection_table(chosen, units),
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a CSV file, numbers as numbers."""
    rows = read_csv(path)
    # The reader gives None for a cell that a row lacks, and puts further cells under None.
    if any(None in (*row.keys(), *row.values()) for row in rows):
        raise EmufortError(
            f"{path} is damaged: its rows differ in length; remove it and repeat the command that "
            "wrote it"
        )
    return [{name: _number(text) for name, text in row.items()} for row in rows]


def _number(text: str) -> Any:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text
