"""The table of finished trials, trials.csv, which is the authoritative record of a search."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emufort.errors import EmufortError
from emufort.files import read_csv, write_text
from emufort.network.architecture import Architecture
from emufort.search.space import Candidate

COLUMNS = (
    "number", "value", "epochs", "pruned_at", "label", "hidden", "activation", "learning_rate",
    "batch_size", "weight_decay", "n_parameters", "multiply_adds", "seconds", "batch", "rungs",
)  # fmt: skip
#: Further columns, which a table has only where they are used.
FURTHER_COLUMNS = ("target", "predicted_ns", "enqueued")
#: The last column, which follows from the others and is empty until the search is finished.
RANK_COLUMN = "predicted_rank"


@dataclass(frozen=True)
class Trial:
    """A finished trial.

    Attributes
    ----------
    number
        Position in the order in which candidates were proposed.
    architecture, learning_rate, batch_size, weight_decay, target
        The candidate.
    value
        Lowest validation loss in the network's transformed outputs or, where targets are searched,
        the error of the skill variables; infinite if the training diverged.
    epochs
        Number of epochs trained.
    pruned_at
        Epochs of the rung where halving stopped the candidate, None if it reached the last rung.
    seconds
        Training time [s]; not reproducible.
    batch
        Number of the batch that the candidate belongs to.
    rungs
        (epochs of the rung, value there) for every rung that the candidate reached.
    predicted_ns
        Predicted inference time [ns per sample], None unless time is an objective of the search.
    enqueued
        Whether the user gave the candidate (`search.enqueue`) instead of the sampler.
    """

    number: int
    architecture: Architecture
    learning_rate: float
    batch_size: int
    value: float
    epochs: int
    pruned_at: int | None
    seconds: float
    batch: int
    rungs: tuple[tuple[int, float], ...]
    weight_decay: float = 0.0
    target: str = ""
    predicted_ns: float | None = None
    enqueued: bool = False

    @property
    def candidate(self) -> Candidate:
        """The point of the search space."""
        a = self.architecture
        return Candidate(
            a.hidden,
            a.activation,
            self.learning_rate,
            self.batch_size,
            self.weight_decay,
            self.target,
            a.family,
        )

    @property
    def objective_values(self) -> tuple[float, ...]:
        """Values of the objectives: the loss or error, and the predicted time if it is one."""
        return (self.value,) if self.predicted_ns is None else (self.value, self.predicted_ns)

    @property
    def optuna_state(self) -> str:
        """Name of the corresponding state in Optuna."""
        return "COMPLETE" if self.pruned_at is None else "PRUNED"

    @property
    def finite(self) -> bool:
        """Whether the training did not diverge."""
        return math.isfinite(self.value)


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials that did not diverge, best first.

    A pruned trial counts with the last loss that it reached; more epochs could only lower it.
    """
    return sorted((t for t in trials if t.finite), key=lambda t: (t.value, t.number))


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """Return the first trial of `ranked`, or None."""
    return min((t for t in trials if t.finite), key=lambda t: t.value, default=None)


class TrialsFile:
    """The table on disk, which is complete at any time.

    The text of earlier trials is kept in memory, so writing a batch costs only the rows of the
    batch and one copy of the file.

    Parameters
    ----------
    path
        The table.
    further
        The members of `FURTHER_COLUMNS` that the table has.
    """

    def __init__(self, path: Path, further: Sequence[str] = ()) -> None:
        self._path = path
        self._columns = (*COLUMNS, *further, RANK_COLUMN)
        self._text = ",".join(self._columns) + "\n"
        self._n = 0

    @property
    def sha256(self) -> str:
        """Hash of the last written table without the column of predicted ranks."""
        return _sha256(self._text)

    def rank(self, trials: Sequence[Trial], ranks: Sequence[int]) -> None:
        """Write the table of all trials with their predicted ranks (1 is the best)."""
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, self._columns, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        for trial, rank in zip(trials, ranks, strict=True):
            writer.writerow(row_of(trial) | {RANK_COLUMN: rank})
        self._text, self._n = buffer.getvalue(), len(trials)
        write_text(self._path, self._text)

    def write(self, trials: Sequence[Trial]) -> None:
        """Write the table of `trials`, which start with the trials of the call before."""
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, self._columns, lineterminator="\n", extrasaction="ignore")
        writer.writerows(row_of(trial) for trial in trials[self._n :])
        self._text += buffer.getvalue()
        self._n = len(trials)
        write_text(self._path, self._text)


def row_of(t: Trial) -> dict[str, Any]:
    """Return the row of a trial; floats are written so that they read back exactly."""
    return {
        "number": t.number,
        "value": repr(t.value),
        "epochs": t.epochs,
        "pruned_at": "" if t.pruned_at is None else t.pruned_at,
        "label": t.architecture.label,
        "hidden": "-".join(map(str, t.architecture.hidden)),
        "activation": t.architecture.activation_label,
        "learning_rate": repr(t.learning_rate),
        "batch_size": t.batch_size,
        "weight_decay": repr(t.weight_decay),
        "n_parameters": t.architecture.n_parameters,
        "multiply_adds": t.architecture.multiply_adds,
        "seconds": f"{t.seconds:.3f}",
        "batch": t.batch,
        "rungs": " ".join(f"{epochs}:{value!r}" for epochs, value in t.rungs),
        "target": t.target,
        "predicted_ns": "" if t.predicted_ns is None else repr(t.predicted_ns),
        "enqueued": "yes" if t.enqueued else "",
    }


def _sha256(text: str) -> str:
    """Return the hash of a table; a column of predicted ranks is ignored."""
    lines = text.splitlines(keepends=True)
    if lines and lines[0].rstrip("\n").endswith(f",{RANK_COLUMN}"):
        lines = [line.rpartition(",")[0] + "\n" for line in lines]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def restore_table(path: Path, n: int, sha256: str, mirrored: Sequence[dict[str, Any]]) -> None:
    """Make sure that the table starts with `n` trials exactly as they were written.

    Parameters
    ----------
    path
        The table, which may be damaged or missing.
    n, sha256
        Number of first trials that are known, and the hash of the table with these alone.
    mirrored
        The same trials from another source; they replace a damaged table if they have the hash.
        If they do not have it either, the table is removed, and the search starts from the
        beginning.
    """
    with suppress(OSError, UnicodeDecodeError):
        lines = path.read_text().splitlines(keepends=True)
        if _sha256("".join(lines[: n + 1])) == sha256:
            return
    for further in itertools.product((False, True), repeat=len(FURTHER_COLUMNS)):
        buffer = io.StringIO(newline="")
        names = (*COLUMNS, *itertools.compress(FURTHER_COLUMNS, further), RANK_COLUMN)
        writer = csv.DictWriter(buffer, names, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(mirrored[:n])
        if _sha256(buffer.getvalue()) == sha256:
            write_text(path, buffer.getvalue())
            return
    path.unlink(missing_ok=True)


def is_as_written(path: Path, sha256: str) -> bool:
    """Return whether a table has the hash that `TrialsFile.sha256` gave."""
    try:
        return _sha256(path.read_text()) == sha256
    except (OSError, UnicodeDecodeError):
        return False


def read_trials(path: Path, n_inputs: int, n_outputs: int) -> list[Trial]:
    """Read the table that `TrialsFile` wrote.

    Parameters
    ----------
    n_inputs, n_outputs
        Sizes of the networks; where targets were searched, the labels of the trials give them.

    Raises
    ------
    EmufortError
        The file is missing or damaged.
    """
    trials = []
    for line, row in enumerate(read_csv(path), start=2):
        try:
            hidden = tuple(map(int, row["hidden"].split("-")))
            target = row.get("target") or ""
            if target:
                n_inputs, *_, n_outputs = map(int, row["label"].split()[0].split("-"))
            names = tuple(row["activation"].split(","))
            activation = names[0] if len(names) == 1 else names
            family = Architecture.from_label(row["label"]).family
            rungs = (pair.split(":") for pair in row["rungs"].split())
            trial = Trial(
                number=int(row["number"]),
                architecture=Architecture(n_inputs, hidden, n_outputs, activation, family),
                learning_rate=float(row["learning_rate"]),
                batch_size=int(row["batch_size"]),
                value=float(row["value"]),
                epochs=int(row["epochs"]),
                pruned_at=int(row["pruned_at"]) if row["pruned_at"] else None,
                seconds=float(row["seconds"]),
                batch=int(row["batch"]),
                rungs=tuple((int(epochs), float(value)) for epochs, value in rungs),
                weight_decay=float(row["weight_decay"]),
                target=target,
                predicted_ns=float(row["predicted_ns"]) if row.get("predicted_ns") else None,
                enqueued=row.get("enqueued") == "yes",
            )
        except (KeyError, ValueError, AttributeError, TypeError, EmufortError) as error:
            raise EmufortError(
                f"line {line} of {path} is no trial; remove the folder {path.parent} and search "
                "again"
            ) from error
        trials.append(trial)
    return trials
