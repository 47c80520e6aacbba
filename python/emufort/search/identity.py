"""What a search was made of, so that a folder is never continued with something else."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from emufort.config import Config
from emufort.dataset.dataset import Dataset
from emufort.dataset.rows import blocks, forget
from emufort.dataset.targets import target_contract
from emufort.errors import EmufortError
from emufort.files import read_csv, read_json
from emufort.training import resolve_backend

#: Options that came later than the first folders -> what was done before.
_LATER: dict[str, Any] = {
    "search.schedule": "constant",
    "search.groups": [],
    "retrain.warm_start": False,
}

#: Columns of trials.csv that are no part of what a search found: times, and what follows from the
#: others.
NOT_HASHED = ("seconds", "predicted_rank")


def data_sha256(data: Dataset) -> str:
    """Return the hash of the data's file, or of its values if they come from memory."""
    if data.sha256:
        return data.sha256
    digest = hashlib.sha256()
    for array in (data.x, data.y, data.split):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def rows_sha256(rows: np.ndarray) -> str:
    """Return the hash of row numbers."""
    digest = hashlib.sha256()
    for part in blocks(len(rows)):
        digest.update(np.ascontiguousarray(rows[part], dtype="<i8").data)
    forget(rows)
    return digest.hexdigest()


def data_identity(data: Dataset) -> dict[str, Any]:
    """Return what tells one data set, read by one contract, from another."""
    return {
        "contract": data.contract.sha256,
        "data": data_sha256(data),
        "rows": rows_sha256(data.rows),
    }


def study_sha256(folder: Path) -> str:
    """Return the hash of a search: of what it was made of, and of every trial.

    It covers what is the same however often the search was killed and however many workers it had:
    subset.json as a whole, and trials.csv without the columns `NOT_HASHED`. The hashed text is one
    JSON array a line, UTF-8, without blanks: the content of subset.json with sorted keys, the
    names of the columns, then the cells of each trial.

    Parameters
    ----------
    folder
        Folder of the search.

    Raises
    ------
    EmufortError
        One of the two files is missing or damaged.
    """
    digest = hashlib.sha256()

    def add(line: list[Any]) -> None:
        text = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        digest.update(text.encode(errors="surrogatepass") + b"\n")

    add([read_json(folder / "subset.json")])
    trials = read_csv(folder / "trials.csv")
    columns = [name for name in (trials[0] if trials else ()) if name not in NOT_HASHED]
    add(columns)
    for trial in trials:
        add([trial[name] for name in columns])
    return digest.hexdigest()


def search_identity(data: Dataset, config: Config) -> dict[str, Any]:
    """Return everything that the trials depend on, flat, as plain data.

    The number of trials is not part of it: a search may be made longer.
    """
    search = config.search.model_dump(mode="json", exclude={"trials", "cost_table"})
    if config.search.rungs:
        del search["share"]  # not used
    space = {f"search.space.{k}": v for k, v in search.pop("space").items()}
    for name in config.search.space.target:
        space[f"contract of {name}"] = target_contract(name, data.contract).sha256
    if config.search.schedule == "cosine":
        # A rung is then step 2 in small, see `rung_task`.
        for key in ("batch_size", "learning_rate", "steps"):
            space[f"retrain.{key}"] = config.retrain.model_dump(mode="json")[key]
    return {
        **data_identity(data),
        "seed": config.seed,
        **{f"search.{k}": v for k, v in search.items()},
        **space,
    }


def settled_backend(wanted: str, path: Path, key: str, only_mlps: bool) -> str:
    """Return the training backend to use: a folder that has results goes on with theirs.

    Two backends agree on a training only for its first epochs, so a search must not change over.

    Parameters
    ----------
    wanted
        ``"auto"`` or a backend.
    path, key
        The file with the identity of earlier results, if there are any, and its entry.
    only_mlps
        Whether all networks are multilayer perceptrons.

    Raises
    ------
    UsageError
        The backend that is wanted cannot train such networks.
    """
    if wanted == "auto" and path.exists():
        known = read_json(path).get("identity", {}).get(key)
        wanted = known or wanted
    is_open = wanted == "auto" or not only_mlps
    return resolve_backend(wanted, only_mlps=only_mlps) if is_open else wanted


def check_same(path: Path, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """Return the content of `path` if it exists and its ``identity`` is `wanted`.

    Raises
    ------
    EmufortError
        The folder holds results of another configuration or other data.
    """
    if not path.exists():
        return None
    content: dict[str, Any] = read_json(path)
    found = content.get("identity", {})
    for key, value in wanted.items():
        if key not in found and value in ([], _LATER.get(key)):
            continue  # an option that came later, and is not made use of
        before = found.get(key, _LATER.get(key))
        if before != value:
            what = (
                f"another '{key}' than that asked for now"
                if isinstance(value, str) and len(value) == 64
                else f"{key} = {_short(before)}, asked for is {_short(value)}"
            )
            raise EmufortError(
                f"the folder {path.parent} holds results made with {what}; choose another --out "
                "or remove the folder"
            )
    return content


def _short(value: Any) -> str:
    return str(tuple(value)) if isinstance(value, list) else str(value)
