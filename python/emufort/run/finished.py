"""Which steps of a run are finished: those whose inputs, options and results are unchanged."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from emufort.config import DEFAULTS, Config
from emufort.run.folder import RunFolder
from emufort.run.record import essences, hashes, remove_damaged
from emufort.steps import STEPS, earlier, later

#: Options that are newer than the first run folders. Their defaults reproduce the earlier
#: behaviour, so that steps of an earlier folder stay finished with these defaults.
_LATER_OPTIONS = {
    "retrain.microbatch",
    "retrain.precision",
    "retrain.warm_start",
    "search.enqueue",
    "search.objectives",
    "search.side_by_side",
}


@dataclass(frozen=True)
class FinishedSteps:
    """The finished steps of the run in a folder.

    Attributes
    ----------
    folder
        The run folder.
    """

    folder: RunFolder

    def is_finished(self, step: str, config: Config, inputs: str) -> bool:
        """Return whether `step` is finished for `config` and `inputs` (a hash).

        A step is not finished if one of its results is missing or was changed.
        """
        done = self.folder.finished.get(step)
        return (
            done is not None
            and done["fingerprint"] == fingerprint(step, config, inputs)
            and done["results"] == self._results(step)
        )

    def is_recorded(self, step: str, config: Config) -> bool:
        """Return whether `step` is finished for `config` and the inputs of its last execution."""
        inputs = self.folder.finished.get(step, {}).get("inputs")
        return inputs is not None and self.is_finished(step, config, inputs)

    def damaged(self, step: str) -> list[str]:
        """Return the results of `step` that are missing or were changed."""
        results = self.folder.finished.get(step, {}).get("results", {})
        found = self._results(step)
        return [name for name, sha256 in results.items() if found.get(name) != sha256]

    def begin(self, step: str, config: Config, inputs: str) -> None:
        """Remove damaged results of `step`, so that the step makes them again."""
        done = self.folder.finished.get(step)
        if done is not None and done["fingerprint"] == fingerprint(step, config, inputs):
            for name in remove_damaged(self.folder.path, STEPS[step].results, done["results"]):
                self.folder.log(f"{step}: {name} was changed or damaged and is made again")

    def finish(self, step: str, config: Config, inputs: str, seconds: float) -> None:
        """Record that `step` is finished; later steps become out of date if its results changed."""
        finished = self.folder.finished
        before = finished.get(step, {})
        results = self._results(step)
        made = {
            "fingerprint": fingerprint(step, config, inputs),
            "inputs": inputs,
            "essences": essences(self.folder.path, results),
        }
        outdated = () if made.items() <= before.items() else later(step)
        kept = {name: entry for name, entry in finished.items() if name not in outdated}
        kept[step] = {
            **made,
            "seconds": round(before.get("seconds", 0.0) + seconds, 3),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "results": results,
        }
        self.folder.remember(steps=kept)

    def _results(self, step: str) -> dict[str, str]:
        return hashes(self.folder.path, STEPS[step].results)


def fingerprint(step: str, config: Config, inputs: str) -> str:
    """Hash everything that determines the result of `step`: its options, earlier ones, the data."""
    content = config.model_dump(mode="json")
    sections = [key for name in (*earlier(step), step) for key in STEPS[name].sections]
    relevant = {key: _as_before(key, content[key]) for key in sections}
    canonical = json.dumps([relevant, inputs], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _as_before(section: str, options: Any) -> Any:
    """Leave out newer options that have their defaults."""
    if not isinstance(options, dict):
        return options
    usual = DEFAULTS.model_dump(mode="json")[section]
    return {
        name: value
        for name, value in options.items()
        if f"{section}.{name}" not in _LATER_OPTIONS or value != usual[name]
    }
