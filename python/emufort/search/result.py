"""A finished search as later steps read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emufort.brief import brief
from emufort.config import Config
from emufort.dataset.targets import with_target
from emufort.errors import EmufortError
from emufort.files import read_json
from emufort.paths import PathLike
from emufort.search.trials import Trial, is_as_written, ranked, read_trials


@dataclass(frozen=True)
class SearchResult:
    """Trials of a search, in the order in which they were proposed.

    Attributes
    ----------
    folder
        Folder of the search.
    trials
        All trials, pruned and diverged ones too.
    summary
        Content of search.json.
    """

    folder: Path
    trials: tuple[Trial, ...]
    summary: dict[str, Any]

    def __repr__(self) -> str:
        best = self.top(1)
        measure = "error" if best and best[0].target else "loss"
        label = with_target(best[0].architecture.label, best[0].target) if best else ""
        return brief(
            self,
            str(self.folder),
            f"{len(self.trials)} trials",
            f"best {label}, {measure} {best[0].value:.3g}" if best else "all diverged",
        )

    @property
    def config(self) -> Config:
        """The configuration that the search was run with."""
        return Config.from_dict(self.summary["config"], str(self.folder / "search.json"))

    def top(self, k: int) -> list[Trial]:
        """Return the `k` trials of the lowest search loss, or all of them if there are fewer."""
        return ranked(self.trials)[:k]


def load_search(folder: PathLike) -> SearchResult:
    """Read a finished search.

    Parameters
    ----------
    folder
        The folder of the search, such as ``runs/a/search``.

    Raises
    ------
    EmufortError
        `folder` has no search, or the search was interrupted.
    """
    folder = Path(folder)
    if not (folder / "search.json").exists():
        raise EmufortError(f"there is no search in {folder}; run 'emufort search' first")
    summary: dict[str, Any] = read_json(folder / "search.json")
    try:
        sizes = summary["n_inputs"], summary["n_outputs"]
        done, wanted, sha256 = summary["trials"], summary["trials_wanted"], summary["trials_sha256"]
        finished = summary["finished"]
    except (KeyError, TypeError) as error:
        raise EmufortError(
            f"{folder / 'search.json'} is damaged; run the same 'emufort search' command again"
        ) from error
    if not finished:
        raise EmufortError(
            f"the search in {folder} has done {done} of {wanted} "
            "trials; run the same 'emufort search' command again to finish it"
        )
    if not is_as_written(folder / "trials.csv", sha256):
        raise EmufortError(
            f"{folder / 'trials.csv'} is damaged; run the same 'emufort search' command again"
        )
    trials = read_trials(folder / "trials.csv", *sizes)
    return SearchResult(folder, tuple(trials), summary)
