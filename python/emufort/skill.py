"""How good predictions are: RMSE, MAE, bias and R2 of the contract's skill variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.dataset import Dataset
from emufort.errors import ContractError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """Errors of one quantity over n values, in its own units (R2: 1)."""

    rmse: float
    mae: float
    bias: float
    r2: float
    n: int


def score(predicted: Array, true: Array) -> Score:
    """Compare two arrays of the same shape; R2 is NaN where the truth does not vary."""
    error = np.asarray(predicted, dtype=np.float64) - np.asarray(true, dtype=np.float64)
    spread = float(np.square(true - np.mean(true)).mean())
    mean_square = float(np.square(error).mean())
    return Score(
        rmse=float(np.sqrt(mean_square)),
        mae=float(np.abs(error).mean()),
        bias=float(error.mean()),
        r2=1.0 - mean_square / spread if spread > 0 else float("nan"),
        n=int(error.size),
    )


@dataclass(frozen=True)
class Skill:
    """Scores of all skill variables together and of each column, such as each mode."""

    overall: Score
    columns: Mapping[str, Score]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON (a NaN becomes None)."""

        def plain(one: Score) -> dict[str, Any]:
            return {k: (None if v != v else v) for k, v in asdict(one).items()}

        return {
            "overall": plain(self.overall),
            "columns": {name: plain(one) for name, one in self.columns.items()},
        }


def variables_of(contract: Contract, x: Array) -> dict[str, Array]:
    """Split the input matrix (n, n_inputs) into variables; parameters are added as (k,)."""
    found: dict[str, Array] = {}
    start = 0
    for variable in contract.input:
        width = contract.width(variable)
        block = x[:, start : start + width]
        found[variable.name] = block if variable.dimension else block[:, 0]
        start += width
    for parameter in contract.parameter:
        values = np.array(parameter.values)
        found[parameter.name] = values if parameter.dimension else values[0]
    return found


def skill_values(contract: Contract, x: Array, outputs: Array) -> dict[str, Array]:
    """Turn outputs (n, n_outputs) at inputs `x` into the skill variables, each (n, k)."""
    named: dict[str, Array] = {}
    start = 0
    for variable in contract.output:
        width = contract.width(variable)
        block = outputs[:, start : start + width]
        named[variable.name] = block if variable.dimension else block[:, 0]
        start += width
    return _judged(contract, contract.skill.head, x, named)


def baseline_values(data: Dataset, name: str) -> dict[str, Array]:
    """Return the skill variables that a baseline of the data set gives, each (n, k)."""
    contract = data.contract
    baseline = next(b for b in contract.baseline if b.name == name)
    values = data.baselines[name]
    named = {baseline.gives: values[:, 0] if values.shape[1] == 1 else values}
    return _judged(contract, baseline.head or contract.skill.head, data.x, named)


def _judged(
    contract: Contract, head: str | None, x: Array, named: dict[str, Array]
) -> dict[str, Array]:
    if head is not None:
        named = load_object(head)(variables_of(contract, x), **named)
    missing = [name for name in contract.skill_variables if name not in named]
    if missing:
        raise ContractError(
            f"the contract '{contract.name}' is judged by '{missing[0]}', which neither its "
            "outputs nor its head give"
        )
    n = len(x)
    return {v: np.asarray(named[v], dtype=float).reshape(n, -1) for v in contract.skill_variables}


def column_names(contract: Contract, values: Mapping[str, Array]) -> list[str]:
    """Name the columns of skill values, with labels where a dimension has that length."""
    names = []
    for variable, block in values.items():
        if block.shape[1] == 1:
            names.append(variable)
            continue
        labels = next(
            (ls for ls in contract.dimensions.values() if len(ls) == block.shape[1]),
            tuple(map(str, range(block.shape[1]))),
        )
        names.extend(f"{variable}[{label}]" for label in labels)
    return names


def compare(contract: Contract, predicted: Mapping[str, Array], true: Mapping[str, Array]) -> Skill:
    """Score skill values against the truth, overall and column by column.

    Columns of different units cannot be summed up: overall, each then counts by its difference from
    its mean, in its standard deviations (both of the truth).
    """
    p = np.concatenate([predicted[v] for v in contract.skill_variables], axis=1)
    t = np.concatenate([true[v] for v in contract.skill_variables], axis=1)
    names = column_names(contract, true)
    columns = {name: score(p[:, j], t[:, j]) for j, name in enumerate(names)}
    if contract.skill_is_normalised:
        mean, spread = t.mean(axis=0), t.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        p, t = (p - mean) / spread, (t - mean) / spread
    return Skill(score(p, t), columns)


def skill_of(data: Dataset, outputs: Array) -> Skill:
    """Score predicted outputs (n, n_outputs) against the labels of `data`."""
    contract = data.contract
    true = skill_values(contract, data.x, data.y)
    return compare(contract, skill_values(contract, data.x, outputs), true)


def skill_of_baseline(data: Dataset, name: str) -> Skill:
    """Score a baseline of the data set against its labels."""
    true = skill_values(data.contract, data.x, data.y)
    return compare(data.contract, baseline_values(data, name), true)


def load_object(path: str) -> Callable[..., Any]:
    """Import ``module:name`` as a contract gives it.

    Raises
    ------
    ContractError
        There is no such module or name.
    """
    module, _, name = path.partition(":")
    try:
        found: Callable[..., Any] = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ContractError(f"the contract names '{path}', which cannot be imported") from error
    return found
