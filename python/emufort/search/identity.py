"""Identity of a search: data and options, so that a folder never mixes two searches."""

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

#: Options that later versions added -> the value that corresponds to the earlier behaviour.
_LATER: dict[str, Any] = {
    "search.schedule": "constant",
    "search.groups": [],
    "search.side_by_side": False,
    "search.objectives": ["skill"],
    "retrain.warm_start": False,
    "retrain.precision": "single",
}

#: Columns of trials.csv that are not part of the result: times, and values that follow from the
#: other columns.
NOT_HASHED = ("seconds", "predicted_rank")


def data_sha256(data: Dataset) -> str:
    """Return the hash of the data file, or of the values if the data come from memory."""
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
    """Return the entries that identify a data set as read by a contract."""
    return {
        "contract": data.contract.sha256,
        "data": data_sha256(data),
        "rows": rows_sha256(data.rows),
    }


def study_sha256(folder: Path) -> str:
    """Return the hash of a search: its identity and every trial.

    The hash does not depend on how often the search was interrupted or how many workers it had.
    It covers subset.json as a whole, and trials.csv without the columns `NOT_HASHED`. The hashed
    text has one JSON array per line, UTF-8, without blanks: the content of subset.json with sorted
    keys, the names of the columns, then the cells of each trial.

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
    """Return every option and hash that the trials depend on, as flat plain data.

    The number of trials is not part of the identity, because a search may be extended.
    """
    search = config.search.model_dump(mode="json", exclude={"trials", "cost_table"})
    if config.search.rungs:
        del search["share"]  # not used
    space = {f"search.space.{k}": v for k, v in search.pop("space").items()}
    for name in config.search.space.target:
        space[f"contract of {name}"] = target_contract(name, data.contract).sha256
    if config.search.schedule == "cosine":
        # A rung is then a short version of step 2, see `rung_task`.
        for key in ("batch_size", "learning_rate", "steps"):
            space[f"retrain.{key}"] = config.retrain.model_dump(mode="json")[key]
    return {
        **data_identity(data),
        "seed": config.seed,
        **{f"search.{k}": v for k, v in search.items()},
        **space,
    }


def read_results(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file with the entry ``identity``; empty if it is missing.

    Raises
    ------
    EmufortError
        The file is damaged.
    """
    content = read_json(path) if path.exists() else {}
    if not isinstance(content, dict) or not isinstance(content.get("identity", {}), dict):
        raise damaged(path)
    return content


def damaged(path: Path) -> EmufortError:
    """Return the error of a damaged file with the identity of results."""
    return EmufortError(
        f"{path} is damaged; remove the folder {path.parent} and run the same command again"
    )


def check_same(path: Path, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """Return the content of `path` if it exists and its ``identity`` is `wanted`.

    Parameters
    ----------
    path
        A JSON file with the entry ``identity``; it may be missing.
    wanted
        Name of an option or hash -> its value in this call.

    Returns
    -------
    dict or None
        The content of the file; None if it does not exist.

    Raises
    ------
    EmufortError
        The folder holds results of another configuration or other data.
    """
    if not path.exists():
        return None
    content = read_results(path)
    found = content.get("identity", {})
    for key, value in wanted.items():
        if key not in found and value in ([], _LATER.get(key)):
            continue  # an option that a later version added, and that is not used
        before = found.get(key, _LATER.get(key))
        if before != value:
            what = (
                f"another '{key}' than this call uses"
                if isinstance(value, str) and len(value) == 64
                else f"{key} = {_short(before)} instead of {_short(value)}"
            )
            raise EmufortError(
                f"the folder {path.parent} holds results made with {what}; choose another --out "
                "or remove the folder"
            )
    return content


def _short(value: Any) -> str:
    return str(tuple(value)) if isinstance(value, list) else str(value)
