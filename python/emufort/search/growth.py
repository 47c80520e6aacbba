"""More trials for a search that is finished or was interrupted."""

from __future__ import annotations

from pathlib import Path

from emufort.config import SearchConfig
from emufort.errors import EmufortError, UsageError
from emufort.files import read_csv, read_json


def finished_trials(folder: Path) -> int:
    """Return the number of trials that the search in `folder` has recorded; 0 if there is none."""
    try:
        return int(read_json(folder / "search.json")["trials"])
    except (EmufortError, KeyError, TypeError, ValueError, UnicodeDecodeError):
        return 0


def check_not_fewer(folder: Path, wanted: int, done: int | None = None) -> None:
    """Raise `UsageError` if the search in `folder` has more than `wanted` trials already.

    Parameters
    ----------
    folder
        Folder of the search.
    wanted
        Number of trials that the search shall have.
    done
        Number of trials that it has; default None: the number in its summary.
    """
    done = finished_trials(folder) if done is None else done
    if done > wanted:
        raise UsageError(
            f"{folder} holds {done} finished trials, more than search.trials = {wanted}: give "
            f"{done} or more, because a search can grow but not shrink, or choose another --out"
        )


def difference_by_growth(folder: Path, options: SearchConfig) -> str:
    """Return why a grown search differs from one that had all trials from the start.

    Proposals depend on the seed, the number of the batch and the trials of earlier batches. The
    trials are therefore the same, unless an earlier batch had fewer than `options.batch`
    candidates because the search was to end there. Such a batch stays as it is.

    Parameters
    ----------
    folder
        Folder of the search.
    options
        Uses `trials` and `batch`.

    Returns
    -------
    str
        One sentence; empty if the search does not grow or no trial differs.
    """
    done = finished_trials(folder)
    if not 0 < done < options.trials:
        return ""
    try:
        batches = [int(row["batch"]) for row in read_csv(folder / "trials.csv")]
    except (EmufortError, KeyError, TypeError, ValueError, UnicodeDecodeError):
        return ""  # the search restores a damaged table or explains what is wrong
    short = next((n for n in sorted(set(batches)) if batches.count(n) < options.batch), None)
    if short is None:
        return ""
    size = batches.count(short)
    return (
        f"the search grows from {done} to {options.trials} trials, but batch {short} has only "
        f"{size} of {options.batch} candidates, so the trials differ from those of a search that "
        f"starts with {options.trials} trials; grow from a multiple of search.batch to avoid this"
    )
