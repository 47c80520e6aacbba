"""The skill of predictions: RMSE, MAE, bias and R2 of the contract's skill variables."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.contract_arrays import split_columns
from emufort.dataset.dataset import Dataset
from emufort.dataset.rows import blocks
from emufort.errors import ContractError, DataError, EmufortError
from emufort.extent import Extent
from emufort.processes import registry as processes

if TYPE_CHECKING:
    from emufort.network.emulator import Emulator

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """Errors of one quantity over n values, in the units of the quantity (R2: [1])."""

    rmse: float
    mae: float
    bias: float
    r2: float
    n: int


def score(predicted: Array, true: Array) -> Score:
    """Compare two arrays of the same shape; R2 is NaN if the truth does not vary.

    Parameters
    ----------
    predicted, true
        Values of the same shape.
    """
    sums = _Sums()
    sums.add(predicted, true)
    return sums.score()


@dataclass
class _Sums:
    """Sums from which a score is computed; blocks of values are added one after the other."""

    n: int = 0
    error: float = 0.0
    size: float = 0.0
    square: float = 0.0
    mean: float = 0.0
    spread: float = 0.0
    extent: Extent = field(default_factory=lambda: Extent(1))

    def add(self, predicted: Array, true: Array) -> None:
        """Add predicted and true values of the same shape."""
        error = np.asarray(predicted, dtype=np.float64) - np.asarray(true, dtype=np.float64)
        n, mean = error.size, float(np.mean(true))
        self.error += float(error.sum())
        self.size += float(np.abs(error).sum())
        self.square += float(np.square(error).sum())
        self.spread += float(np.square(true - mean).sum())
        if self.n:
            # Spread about the joint mean of both blocks.
            self.spread += (mean - self.mean) ** 2 * self.n * n / (self.n + n)
            mean = self.mean + (mean - self.mean) * n / (self.n + n)
        self.n, self.mean = self.n + n, mean
        self.extent.add(np.asarray(true, dtype=np.float64).reshape(-1, 1))

    @property
    def is_constant(self) -> bool:
        """Whether the truth varies only within rounding."""
        return bool(self.extent.constant[0])

    @property
    def unit(self) -> float:
        """Unit of errors: the spread of the truth, or its size if the truth is constant."""
        if self.is_constant:
            return float(self.extent.size[0]) or 1.0
        return float(np.sqrt(self.spread / self.n))

    def score(self) -> Score:
        """Return the score of all values."""
        n, spread = self.n, self.spread / self.n
        mean_square = self.square / n
        return Score(
            rmse=float(np.sqrt(mean_square)),
            mae=self.size / n,
            bias=self.error / n,
            r2=float("nan") if self.is_constant else 1.0 - mean_square / spread,
            n=n,
        )


@dataclass(frozen=True)
class Skill:
    """Scores of all skill variables together, and of each column, such as each mode."""

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
    """Split the input matrix (n, n_inputs) into variables (n, ...); add the parameters."""
    found = split_columns(contract, contract.input, x)
    for parameter in contract.parameter:
        found[parameter.name] = np.array(parameter.values).reshape(contract.shape(parameter))[()]
    return found


def skill_values(contract: Contract, x: Array, outputs: Array) -> dict[str, Array]:
    """Turn outputs (n, n_outputs) for inputs `x` into the skill variables, each (n, k)."""
    named = split_columns(contract, contract.output, outputs)
    return _judged(contract, contract.skill.head, x, named)


def baseline_values(data: Dataset, name: str, part: slice = slice(None)) -> dict[str, Array]:
    """Return the skill variables of a baseline of the data set, each (n, k)."""
    contract = data.contract
    baseline = next(b for b in contract.baseline if b.name == name)
    values = data.baselines[name][part]
    shapes = data.baseline_shapes.get(name, (values.shape[1:],))
    parts = np.split(values, np.cumsum([math.prod(shape) for shape in shapes])[:-1], axis=1)
    named = {
        quantity: part[:, 0] if part.shape[1] == 1 else part.reshape(len(part), *shape)
        for quantity, part, shape in zip(baseline.quantities, parts, shapes, strict=True)
    }
    return _judged(contract, baseline.head or contract.skill.head, data.x[part], named)


def _judged(
    contract: Contract, head: str | None, x: Array, named: dict[str, Array]
) -> dict[str, Array]:
    if head is not None:
        named = _apply(contract, head, x, named)
    missing = [name for name in contract.skill_variables if name not in named]
    if missing:
        raise ContractError(
            f"the contract '{contract.name}' is judged by '{missing[0]}', which neither its "
            "outputs nor its head give"
        )
    n = len(x)
    return {v: np.asarray(named[v], dtype=float).reshape(n, -1) for v in contract.skill_variables}


def _apply(contract: Contract, head: str, x: Array, named: dict[str, Array]) -> dict[str, Array]:
    n, inputs = len(x), variables_of(contract, x)
    found = processes.head(str(contract.process), head)
    of = f"the head '{head}' of the process '{contract.process}'"
    try:
        given = dict(found.function(inputs, named))
    except Exception as error:
        # A head of another package may raise any exception.
        raise EmufortError(f"{of} failed: {type(error).__name__}: {error}") from error
    for name, dimensions in found.dimensions.items():
        wanted = (n, *map(contract.size, dimensions))
        if name in given and np.shape(given[name]) != wanted:
            raise ContractError(
                f"{of} gives '{name}' in the shape {np.shape(given[name])}; it should be {wanted}"
            )
    return given


def column_names(contract: Contract, values: Mapping[str, Array]) -> list[str]:
    """Return the names of the columns of skill values.

    Columns of a head are named by the dimensions that the head specifies. If it specifies none,
    they are named by a dimension of the same length, else by their number.
    """
    head = contract.skill.head
    if head is None:
        known = {variable.name: variable.dimensions for variable in contract.output}
    else:
        known = dict(processes.head(str(contract.process), head).dimensions)
    names = []
    for variable, block in values.items():
        width = block.shape[1]
        if width == 1:
            names.append(variable)
            continue
        same = [(name,) for name in contract.dimensions if contract.size(name) == width]
        dimensions = known.get(variable) or next(iter(same), ())
        labels: list[Sequence[str]] = [list(map(str, range(width)))]
        if dimensions:
            labels = [contract.labels(dimension) for dimension in dimensions]
        names.extend(f"{variable}[{', '.join(place)}]" for place in itertools.product(*labels))
    return names


@dataclass(frozen=True)
class Yardstick:
    """The columns of the skill variables that are scored, and the units of overall errors.

    An output that is constant in the training rows is not scored, because it is emitted exactly.

    Attributes
    ----------
    columns
        Positions of the scored columns among the columns of all skill variables; None for all
        columns.
    units
        Unit of each scored column for the overall score, shape (n_columns,): its standard deviation
        over the training rows (its size if that is 0). None for physical units.
    """

    columns: tuple[int, ...] | None
    units: Array | None

    @classmethod
    def of(cls, data: Dataset) -> Yardstick:
        """Return the yardstick of a data set, which is the same for all its parts.

        Raises
        ------
        DataError
            All outputs by which an emulator is judged are constant in the training rows.
        """
        found: Yardstick = data.remembered("yardstick", lambda: cls._made(data))
        return found

    @classmethod
    def _made(cls, data: Dataset) -> Yardstick:
        contract, whole = data.contract, data.whole
        columns = None
        order = judged_outputs(contract)
        if order:
            constant = data.constant_outputs
            columns = tuple(i for i, output in enumerate(order) if output not in constant)
            if not columns:
                raise DataError(
                    f"{whole.source}: none of the outputs by which emulators are judged "
                    f"({', '.join(contract.skill_variables)}) varies over the training rows; judge "
                    "by other outputs"
                )
        if not contract.skill_is_normalised:
            return cls(columns, None)
        sums: list[_Sums] = []
        for block in whole.training_blocks(
            lambda part: _matrix(contract, skill_values(contract, whole.x[part], whole.y[part]))
        ):
            sums = sums or [_Sums() for _ in block.T]
            for one, values in zip(sums, block.T, strict=True):
                one.add(values, values)
        units = np.array([one.unit for one in sums])
        return cls(columns, units if columns is None else units[list(columns)])

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "columns": None if self.columns is None else list(self.columns),
            "units": None if self.units is None else self.units.tolist(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Yardstick:
        """Inverse of `to_dict`."""
        columns, units = content["columns"], content["units"]
        return cls(
            None if columns is None else tuple(columns),
            None if units is None else np.array(units),
        )

    def matrix(self, contract: Contract, values: Mapping[str, Array]) -> Array:
        """Return the scored columns of skill values, (n, n_columns)."""
        whole = _matrix(contract, values)
        return whole if self.columns is None else whole[:, list(self.columns)]

    def names(self, contract: Contract, values: Mapping[str, Array]) -> list[str]:
        """Return the names of the scored columns."""
        names = column_names(contract, values)
        return names if self.columns is None else [names[i] for i in self.columns]


def judged_outputs(contract: Contract) -> list[int]:
    """Return the output columns by which emulators are judged; empty if there is a head."""
    if contract.skill.head is not None:
        return []
    return [
        j
        for variable in contract.skill_variables
        for j, column in enumerate(contract.output_columns)
        if column.variable == variable
    ]


#: Predicted and true skill values.
Pair = tuple[Mapping[str, Array], Mapping[str, Array]]


def compare_blocks(
    contract: Contract, yardstick: Yardstick, pairs: Callable[[], Iterator[Pair]]
) -> Skill:
    """Score skill values against the truth, overall and column by column.

    The values come block by block. One block gives bitwise the result of all rows at once; several
    are summed one after the other. Each column is scored in its units. If the contract requires it
    (`Contract.skill_is_normalised`), the overall score uses the difference of each column from the
    mean of the truth in the unit of the yardstick; the blocks are then read twice.
    """
    names: list[str] = []
    columns: list[_Sums] = []
    overall = _Sums()
    for predicted, true in pairs():
        p, t = yardstick.matrix(contract, predicted), yardstick.matrix(contract, true)
        names = names or yardstick.names(contract, true)
        columns = columns or [_Sums() for _ in names]
        for j, sums in enumerate(columns):
            sums.add(p[:, j], t[:, j])
        if yardstick.units is None:
            overall.add(p, t)
    if yardstick.units is not None:
        mean = np.array([sums.mean for sums in columns])
        for predicted, true in pairs():
            p, t = yardstick.matrix(contract, predicted), yardstick.matrix(contract, true)
            overall.add((p - mean) / yardstick.units, (t - mean) / yardstick.units)
    found = {name: sums.score() for name, sums in zip(names, columns, strict=True)}
    return Skill(overall.score(), found)


def _matrix(contract: Contract, values: Mapping[str, Array]) -> Array:
    return np.concatenate([values[v] for v in contract.skill_variables], axis=1)


def skill_of(data: Dataset, outputs: Array) -> Skill:
    """Score predicted outputs (n, n_outputs) against the labels of `data`."""
    return _skill(data, lambda part: skill_values(data.contract, data.x[part], outputs[part]))


def skill_of_emulator(emulator: Emulator, data: Dataset, judge: Dataset | None = None) -> Skill:
    """Score the predictions of an emulator.

    Parameters
    ----------
    data
        Rows read by the emulator's contract.
    judge
        The same rows read by the contract whose labels are used for the scores; default `data`.
    """

    def predicted(part: slice) -> dict[str, Array]:
        x = data.x[part]
        found = skill_values(data.contract, x, emulator.predict(x))
        data.forget()
        return found

    return _skill(data if judge is None else judge, predicted)


def skill_of_baseline(data: Dataset, name: str) -> Skill:
    """Score a baseline of the data set against its labels."""
    return _skill(data, lambda part: baseline_values(data, name, part))


#: Number of rows whose skill values are in memory at a time.
SKILL_BLOCK = 4096


def _skill(data: Dataset, predicted: Callable[[slice], Mapping[str, Array]]) -> Skill:
    def pairs() -> Iterator[Pair]:
        for part in blocks(len(data), SKILL_BLOCK):
            yield predicted(part), skill_values(data.contract, data.x[part], data.y[part])
            data.forget()

    return compare_blocks(data.contract, Yardstick.of(data), pairs)
