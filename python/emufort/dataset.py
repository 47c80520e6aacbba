"""CF netCDF data as arrays, checked against a contract."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from emufort import rows as tables
from emufort.brief import brief
from emufort.contract import Baseline, Column, Contract, Input, Output, Parameter
from emufort.errors import DataError, did_you_mean
from emufort.extent import Extent
from emufort.paths import PathLike

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]
SPLITS = ("train", "validation", "test")

#: Stored values may be single precision: a value this close to a limit (relative) is inside.
_RANGE_SLACK = 1e-6
#: Shares of a data set that comes without a split variable, drawn with a fixed seed.
_DEFAULT_SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}

#: Outputs, weights and ONNX are single precision.
_SINGLE = np.finfo(np.float32)

_UNIT_ALIASES = {"": "1", "m/s": "m s-1", "m s^-1": "m s-1", "m^-3": "m-3", "1/m3": "m-3"}


@dataclass(frozen=True)
class Dataset:
    """Rows of inputs and outputs that may be used, in physical units and double precision.

    Tables of more rows than `emufort.rows.BLOCK` are on disk and mapped into memory, read-only. Go
    through them block by block; `features` and `targets` are copies of the whole.

    Attributes
    ----------
    contract
        What the columns mean.
    source
        Path of the netCDF file.
    sha256
        Hash of that file.
    x, y
        Inputs (n, n_inputs) and outputs (n, n_outputs), columns in contract order.
    split
        0, 1, 2 for train, validation, test; shape (n,).
    rows
        Position of each row along the file's sample dimension; shape (n,).
    baselines
        Name of a baseline -> its values, shape (n, k).
    dropped
        Meaning of the filter's flag -> number of rows left out for it; rows whose filter or split
        has a value without a meaning are counted as such.
    scratch
        Folder for long tables, None for that of temporary files.
    """

    contract: Contract
    source: Path
    sha256: str
    x: Array
    y: Array
    split: NDArray[np.int8]
    rows: NDArray[np.int64]
    baselines: Mapping[str, Array] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    scratch: Path | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        counts = [int((self.split == code).sum()) for code in range(len(SPLITS))]
        return brief(
            self,
            f"{self.contract.name}, {self.source}",
            f"{len(self)} samples ({', '.join(map('{} {}'.format, SPLITS, counts))})",
            f"{self.x.shape[1]} inputs, {self.y.shape[1]} outputs",
        )

    # ---------------------------------------------------------------- opening

    @classmethod
    def open(
        cls, path: PathLike | None, contract: Contract, scratch: PathLike | None = None
    ) -> Self:
        """Read a netCDF file; None means the data set that comes with the package.

        Parameters
        ----------
        path
            The netCDF file.
        contract
            What the variables mean.
        scratch
            Folder for long tables, default None: that of temporary files.

        Raises
        ------
        DataError
            The file, a variable, a dimension or a label is missing, units differ, a label or input
            is NaN or infinite, a value lies outside the contract's range, outside the domain of its
            transform or beyond single precision, or no row is usable.
        """
        import xarray as xr

        source = embedded_dataset(contract) if path is None else Path(path)
        folder = None if scratch is None else Path(scratch)
        if not source.is_file():
            raise DataError(
                f"there is no data file {source}; give --data the path of a netCDF file"
            )
        try:
            with _little_chunk_cache():
                opened = xr.open_dataset(source, engine="netcdf4", decode_times=False, cache=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise _unreadable(source, error) from error
        with opened:
            try:
                return cls.from_xarray(opened, contract, source, _file_hash(source), folder)
            except (OSError, RuntimeError) as error:
                raise _unreadable(source, error) from error

    @classmethod
    def from_xarray(
        cls,
        raw: xr.Dataset,
        contract: Contract,
        source: Path = Path("memory"),
        sha256: str = "",
        scratch: Path | None = None,
    ) -> Self:
        """Check `raw` against `contract` and keep the usable rows; errors as for `open`."""
        whole = _Reader(raw, contract, source)
        split = whole.default_split()
        complaints = _Complaints(source, contract)
        parts = (
            whole.part(part).read(part.start, None if split is None else split[part], complaints)
            for part in tables.blocks(whole.n)
        )
        x, y, split, rows, *values = tables.tables(parts, scratch)
        whole.check_parameters()
        complaints.raise_first()
        baselines = {b.name: v for b, v in zip(contract.baseline, values, strict=True)}
        dropped = complaints.dropped
        return cls(contract, source, sha256, x, y, split, rows, baselines, dropped, scratch)

    # -------------------------------------------------------------- selecting

    def take(self, indices: NDArray[np.int64]) -> Self:
        """Return the rows at `indices` (positions in this object)."""

        def of(values: NDArray[Any]) -> NDArray[Any]:
            return tables.take(values, indices, self.scratch)

        return replace(
            self,
            x=of(self.x),
            y=of(self.y),
            split=of(self.split),
            rows=of(self.rows),
            baselines={name: of(values) for name, values in self.baselines.items()},
        )

    def under(self, contract: Contract) -> Dataset:
        """Return the data as another contract reads them; the whole, not a part of the rows.

        Raises
        ------
        DataError
            See `open`; or these data are in memory only, and the contract has other variables.
        """
        if contract.sha256 == self.contract.sha256:
            return self
        if [_untransformed(self.contract), contract.sample_dimension] == [
            _untransformed(contract), self.contract.sample_dimension,
        ]:  # fmt: skip
            complaints = _Complaints(self.source, contract)
            complaints.passed = complaints.kept = len(self)
            for part in tables.blocks(len(self)):
                baselines = [self.baselines[b.name][part] for b in contract.baseline]
                complaints.look(self.x[part], self.y[part], self.rows[part], baselines)
                self.forget()
            complaints.raise_first()
            return replace(self, contract=contract)
        if not self.source.is_file():
            raise DataError(
                f"the contract '{contract.name}' has other variables than "
                f"'{self.contract.name}', and these data come from no file to read them from"
            )
        return Dataset.open(self.source, contract, self.scratch)

    def part(self, name: str) -> Self:
        """Return the rows of one split: ``"train"``, ``"validation"`` or ``"test"``.

        Raises
        ------
        DataError
            The split has no rows.
        """
        if name not in SPLITS:
            raise DataError(f"there is no split '{name}'{did_you_mean(name, SPLITS)}")
        indices = np.flatnonzero(self.split == SPLITS.index(name))
        if len(indices) == 0:
            raise DataError(f"{self.source} has no usable row in the split '{name}'")
        return self.take(indices)

    def subset(self, size: int, seed: int) -> Self:
        """Return `size` training rows drawn without replacement, and all rows of other splits.

        The order is random and reproducible. Of data without training rows (such as one split),
        `size` rows are drawn from all.

        Raises
        ------
        DataError
            `size` is not positive or larger than the data.
        """
        pool = np.flatnonzero(self.split == SPLITS.index("train"))
        if len(pool) == 0:
            pool = np.arange(len(self))
        if not 0 < size <= len(pool):
            raise DataError(
                f"a subset of {size} rows cannot be drawn from the {len(pool)} usable rows of "
                f"{self.source}; ask for 1 to {len(pool)}"
            )
        drawn = pool[np.random.default_rng(seed).permutation(len(pool))[:size]]
        others = np.flatnonzero(self.split != SPLITS.index("train"))
        return self.take(np.concatenate([drawn, others]) if len(pool) < len(self) else drawn)

    # ------------------------------------------------------- the network's side

    @cached_property
    def features(self) -> Array:
        """What the network sees, physical units (n, n_features)."""
        return self.features_of(slice(None))

    @cached_property
    def targets(self) -> Array:
        """Outputs, those relative to an input divided by it (n, n_outputs)."""
        return self.targets_of(slice(None))

    def features_of(self, part: slice) -> Array:
        """Return those rows of `features`."""
        return self.x[part][:, list(self.contract.feature_indices)]

    def targets_of(self, part: slice) -> Array:
        """Return those rows of `targets`."""
        y = np.array(self.y[part])
        for j, reference in enumerate(self.contract.reference_indices):
            if reference is not None:
                y[:, j] /= self.x[part, reference]
        return y

    def feature_blocks(self) -> Iterator[Array]:
        """Go through `features` block by block."""
        return self._blocks(self.features_of)

    def target_blocks(self) -> Iterator[Array]:
        """Go through `targets` block by block."""
        return self._blocks(self.targets_of)

    def _blocks(self, of: Callable[[slice], Array]) -> Iterator[Array]:
        for part in tables.blocks(len(self)):
            yield of(part)
            self.forget()

    def constant_columns(self) -> list[Column]:
        """Return the features and outputs that vary by no more than rounding; see `Extent`."""
        contract = self.contract
        found = []
        for columns, parts in (
            ([contract.input_columns[i] for i in contract.feature_indices], self.feature_blocks),
            (contract.output_columns, self.target_blocks),
        ):
            extent = Extent(len(columns))
            for part in parts():
                extent.add(part)
            found += [columns[j] for j in np.flatnonzero(extent.constant)]
        return found

    def forget(self) -> None:
        """Give back the memory of what was read of long tables."""
        for values in (self.x, self.y, self.rows, *self.baselines.values()):
            tables.forget(values)


#: Bytes of chunks that netCDF keeps of each variable; its default of 16 MB is for all of them much.
_CHUNK_CACHE = 2 << 20


@contextmanager
def _little_chunk_cache() -> Iterator[None]:
    """Limit what netCDF keeps in memory of a file that is opened here."""
    import netCDF4

    size, elements, preemption = netCDF4.get_chunk_cache()
    netCDF4.set_chunk_cache(min(size, _CHUNK_CACHE), elements, preemption)
    try:
        yield
    finally:
        netCDF4.set_chunk_cache(size, elements, preemption)


def _unreadable(source: Path, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return DataError(f"cannot read {source} as netCDF: {reason}")


class _Reader:
    """Takes variables out of an xarray Dataset and says what is wrong with them."""

    def __init__(self, raw: xr.Dataset, contract: Contract, source: Path) -> None:
        self.raw = raw
        self.contract = contract
        self.source = source
        dimension = contract.sample_dimension
        if dimension not in raw.sizes:
            raise DataError(
                f"{source} has no dimension '{dimension}'"
                f"{did_you_mean(dimension, map(str, raw.sizes))}"
            )
        self.n = raw.sizes[dimension]
        if self.n == 0:
            raise DataError(f"{source} has no rows: the dimension '{dimension}' has length 0")

    def variable(self, name: str) -> xr.DataArray:
        if name not in self.raw.variables:
            raise DataError(
                f"{self.source} has no variable '{name}'"
                f"{did_you_mean(name, map(str, self.raw.variables))}"
            )
        return self.raw[name]

    def values_of(self, name: str) -> Array:
        """Return any variable along the sample dimension as (n, k)."""
        found = self.variable(name)
        dimension = self.contract.sample_dimension
        if dimension not in found.dims:
            raise DataError(f"{self.source}: '{name}' lacks the dimension '{dimension}'")
        return self._numbers(name, found.transpose(dimension, ...)).reshape(self.n, -1)

    def _numbers(self, name: str, found: xr.DataArray) -> Array:
        try:
            return np.asarray(found.values, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"{self.source}: '{name}' does not hold numbers") from error

    def check_units(self, name: str, wanted: str) -> None:
        units = str(self.variable(name).attrs.get("units", "")).strip()
        if _UNIT_ALIASES.get(units, units) != _UNIT_ALIASES.get(wanted, wanted):
            raise DataError(
                f"{self.source}: '{name}' has the units '{units}', the contract "
                f"'{self.contract.name}' wants '{wanted}'"
            )

    def column_block(self, variable: Input | Output | Parameter, over_samples: bool) -> Array:
        """Return the values of a contract variable with the contract's units and labels."""
        found = self.variable(variable.name)
        self.check_units(variable.name, variable.units)
        wanted = (self.contract.sample_dimension,) if over_samples else ()
        if variable.dimension is not None:
            wanted = (*wanted, variable.dimension)
        if set(found.dims) != set(wanted):
            raise DataError(
                f"{self.source}: '{variable.name}' has the dimensions {_tuple(found.dims)}, the "
                f"contract '{self.contract.name}' wants {_tuple(wanted)}"
            )
        found = found.transpose(*wanted)
        if variable.dimension is not None:
            found = self._by_label(found, variable.name, variable.dimension)
        values = self._numbers(variable.name, found)
        return values.reshape(self.n, -1) if over_samples else values.reshape(1, -1)

    def _by_label(self, found: xr.DataArray, name: str, dimension: str) -> xr.DataArray:
        labels = list(self.contract.dimensions[dimension])
        if dimension not in found.coords:
            if found.sizes[dimension] != len(labels):
                raise DataError(
                    f"{self.source}: '{name}' has {found.sizes[dimension]} entries along "
                    f"'{dimension}', the contract names {len(labels)}: {', '.join(labels)}"
                )
            return found
        present = [_text(value) for value in found[dimension].values]
        for label in labels:
            if label not in present:
                raise DataError(
                    f"{self.source}: '{name}' has no {dimension} '{label}'; it has "
                    f"{', '.join(present)}"
                )
        return found.isel({dimension: [present.index(label) for label in labels]})

    def matrix(self, variables: tuple[Input, ...] | tuple[Output, ...]) -> Array:
        return np.concatenate([self.column_block(v, over_samples=True) for v in variables], axis=1)

    def check_parameters(self) -> None:
        for parameter in self.contract.parameter:
            if parameter.name not in self.raw.variables:
                continue
            values = self.column_block(parameter, over_samples=False)[0]
            if not np.allclose(values, parameter.values, rtol=_RANGE_SLACK, atol=0.0):
                raise DataError(
                    f"{self.source}: '{parameter.name}' is {values.tolist()}, the contract "
                    f"'{self.contract.name}' is for {list(parameter.values)}"
                )

    def part(self, part: slice) -> _Reader:
        """Return a reader of some rows; they are read when they are asked for."""
        rows = self.raw.isel({self.contract.sample_dimension: part})
        return _Reader(rows, self.contract, self.source)

    def read(
        self, first: int, split: NDArray[np.int8] | None, complaints: _Complaints
    ) -> tuple[NDArray[Any], ...]:
        """Return inputs, outputs, split, row numbers and baselines of the usable rows.

        Parameters
        ----------
        first
            Number of the first row that is read here.
        split
            Of every row; None where the data say it.
        complaints
            Told what is wrong with values, and what was dropped.
        """
        contract = self.contract
        split = self.split() if split is None else split
        keep = self.usable_rows(split, complaints)
        x = self.matrix(contract.input)[keep]
        y = self.matrix(contract.output)[keep]
        rows = first + np.flatnonzero(keep)
        baselines = [self.baseline(b, keep) for b in contract.baseline]
        complaints.look(x, y, rows, baselines)
        return (x, y, split[keep], rows, *baselines)

    def baseline(self, baseline: Baseline, keep: NDArray[np.bool_]) -> Array:
        """Return what a classical scheme gives for the rows to keep, (n, k)."""
        values = self.values_of(baseline.variable)[keep]
        for output in self.contract.output:
            if output.name == baseline.gives:
                self.check_units(baseline.variable, output.units)
        return values

    def usable_rows(self, split: NDArray[np.int8], complaints: _Complaints) -> NDArray[np.bool_]:
        """Say which rows may be used; the others are counted by the reason."""
        keep = self._filtered(complaints)
        lost = keep & (split < 0)
        if lost.any():
            assert self.contract.split is not None
            complaints.drop(f"{self.contract.split.variable} without a meaning", lost)
            keep &= ~lost
        complaints.kept += int(keep.sum())
        return keep

    def _filtered(self, complaints: _Complaints) -> NDArray[np.bool_]:
        rule = self.contract.filter
        if rule is None:
            complaints.passed += self.n
            return np.ones(self.n, dtype=bool)
        flags, meanings = self.flags(rule.variable)
        for meaning in rule.keep:
            if meaning not in meanings:
                raise DataError(
                    f"{self.source}: the flag '{rule.variable}' has no meaning '{meaning}'"
                    f"{did_you_mean(meaning, meanings)}"
                )
        keep = np.isin(flags, [meanings[m] for m in rule.keep])
        for meaning, value in meanings.items():
            if meaning not in rule.keep:
                complaints.drop(meaning, flags == value)
        without = ~np.isin(flags, list(meanings.values()))
        if without.any():
            complaints.drop(f"{rule.variable} without a meaning", without)
        complaints.passed += int(keep.sum())
        return keep

    def flags(self, name: str) -> tuple[Array, dict[str, int]]:
        """Return a CF flag variable, NaN where it is missing, and its meanings."""
        found = self.variable(name)
        values = found.attrs.get("flag_values")
        meanings = found.attrs.get("flag_meanings")
        if values is None or meanings is None:
            raise DataError(
                f"{self.source}: the flag '{name}' lacks the attributes flag_values and "
                "flag_meanings"
            )
        known = dict(zip(str(meanings).split(), map(int, np.atleast_1d(values)), strict=False))
        return self.values_of(name)[:, 0], known

    def default_split(self) -> NDArray[np.int8] | None:
        """Return the split of every row where the contract leaves it to us, else None."""
        if self.contract.split is not None:
            return None
        shares = np.cumsum([_DEFAULT_SHARES[name] for name in SPLITS])
        order = np.random.default_rng(0).permutation(self.n)
        split = np.empty(self.n, dtype=np.int8)
        for part in tables.blocks(self.n):
            found = np.searchsorted(shares * self.n, order[part], side="right")
            split[part] = found.clip(0, 2)
        return split

    def split(self) -> NDArray[np.int8]:
        """Return the split of every row, -1 where the data do not say it."""
        assert self.contract.split is not None
        flags, meanings = self.flags(self.contract.split.variable)
        split = np.full(self.n, -1, dtype=np.int8)
        for code, name in enumerate(SPLITS):
            if name not in meanings:
                raise DataError(
                    f"{self.source}: the flag '{self.contract.split.variable}' has no '{name}'"
                )
            split[flags == meanings[name]] = code
        return split


@dataclass
class _Complaint:
    """How many values are bad in one respect, and the first of them."""

    text: Callable[[_Complaint, int], str]
    count: int = 0
    row: int = 0
    value: float = 0.0

    def note(self, bad: NDArray[np.bool_], values: Array, rows: NDArray[np.int64]) -> None:
        """Take note of the bad ones among `values` (n,) of `rows`."""
        count = int(bad.sum())
        if count and not self.count:
            first = int(np.flatnonzero(bad)[0])
            self.row, self.value = int(rows[first]), float(values[first])
        self.count += count


class _Complaints:
    """What is wrong with the usable rows: found block by block, told when all are seen."""

    def __init__(self, source: Path, contract: Contract) -> None:
        self.source, self.contract = source, contract
        #: Meaning of the filter's flag -> number of rows left out for it.
        self.dropped: dict[str, int] = {}
        #: Rows that the filter lets pass; those of them that have a split.
        self.passed = self.kept = 0
        self._found: dict[str, _Complaint] = {}

    def drop(self, reason: str, rows: NDArray[np.bool_]) -> None:
        """Count rows that are left out."""
        self.dropped[reason] = self.dropped.get(reason, 0) + int(rows.sum())

    def look(self, x: Array, y: Array, rows: NDArray[np.int64], baselines: Sequence[Array]) -> None:
        """Look at the usable rows of a block."""
        inputs, outputs = self.contract.input_columns, self.contract.output_columns
        references = [j for j in self.contract.reference_indices if j is not None]
        for values, columns in ((x, inputs), (y, outputs)):
            for j, column in enumerate(columns):
                self._finite(column.name, values[:, j], rows)
        for values, columns in ((x, inputs), (y, outputs)):
            for j, column in enumerate(columns):
                self._range(column, values[:, j], rows)
        for j, column in enumerate(inputs):
            self._domain(column, x[:, j], rows, j in references)
        for j, column in enumerate(outputs):
            self._domain(column, y[:, j], rows)
        for baseline, values in zip(self.contract.baseline, baselines, strict=True):
            bad = ~np.isfinite(values).all(axis=1)
            name = f"{baseline.variable}, of the baseline {baseline.name},"
            self._note(f"baseline {name}", bad, values[:, 0], rows, _text_of_baseline(name))

    def raise_first(self) -> None:
        """Raise the first complaint.

        Raises
        ------
        DataError
            There is one, or no row is usable.
        """
        if self.passed == 0:
            assert self.contract.filter is not None
            counts = ", ".join(f"{m} {c}" for m, c in self.dropped.items() if c)
            raise DataError(
                f"{self.source}: no row is usable, '{self.contract.filter.variable}' is never "
                f"{' or '.join(self.contract.filter.keep)} ({counts})"
            )
        if self.kept == 0:
            assert self.contract.split is not None
            raise DataError(
                f"{self.source}: no row is usable, '{self.contract.split.variable}' is never "
                f"{', '.join(SPLITS)}"
            )
        for complaint in self._found.values():
            if complaint.count:
                raise DataError(f"{self.source}: {complaint.text(complaint, self.kept)}")

    def _note(
        self, key: str, bad: Any, values: Array, rows: NDArray[np.int64],
        text: Callable[[_Complaint, int], str],
    ) -> None:  # fmt: skip
        # Also without a bad value: the order of the keys is that of the complaints.
        self._found.setdefault(key, _Complaint(text)).note(bad, values, rows)

    def _finite(self, name: str, values: Array, rows: NDArray[np.int64]) -> None:
        def text(found: _Complaint, n: int) -> str:
            return (
                f"{name} is NaN or infinite in {found.count} of {n} usable rows, first in row "
                f"{found.row}; mend it or mark such rows in the filter variable"
            )

        self._note(f"finite {name}", ~np.isfinite(values), values, rows, text)

    def _range(self, column: Column, v: Array, rows: NDArray[np.int64]) -> None:
        slack_low = abs(column.lower) * _RANGE_SLACK if np.isfinite(column.lower) else 0.0
        slack_high = abs(column.upper) * _RANGE_SLACK if np.isfinite(column.upper) else 0.0
        bad = (v < column.lower - slack_low) | (v > column.upper + slack_high)

        def text(found: _Complaint, n: int) -> str:
            return (
                f"{column.name} is {found.value:.6g} {column.units} in row {found.row} and outside "
                f"the contract's range {column.lower:.6g} to {column.upper:.6g} in {found.count} "
                "rows; mend the data or widen the contract"
            )

        self._note(f"range {column.name}", bad, v, rows, text)

    def _domain(
        self, column: Column, v: Array, rows: NDArray[np.int64], is_divisor: bool = False
    ) -> None:
        """Find values that the column's transform, or single precision, cannot take.

        A divisor is a column that an output is divided by before the logarithm is taken.
        """
        size = np.abs(v)
        bad = size > _SINGLE.max
        if column.transform != "sigmoid":  # a fraction of 1e-39 may well become 0
            bad |= (size > 0) & (size < _SINGLE.tiny)

        def text(why: str, advice: str) -> Callable[[_Complaint, int], str]:
            return lambda found, n: (
                f"{column.name} is {found.value:.6g} {column.units} in row {found.row}, which "
                f"{why}, and so in {found.count} of {n} usable rows; {advice}"
            )

        precision = text("single precision cannot hold", "choose other units")
        self._note(f"precision {column.name}", bad, v, rows, precision)
        advice = "mend the data or choose another transform"
        if column.transform in ("ln", "log10") or is_divisor:
            self._note(f"ln {column.name}", v <= 0, v, rows, text("has no logarithm", advice))
        elif column.transform == "logit":
            bad = (v <= 0) | (v >= 1)
            self._note(f"logit {column.name}", bad, v, rows, text("has no logit", advice))


def _text_of_baseline(name: str) -> Callable[[_Complaint, int], str]:
    return lambda found, n: (
        f"{name} is NaN or infinite in {found.count} of {n} usable rows, first in row {found.row}"
    )


def _untransformed(contract: Contract) -> dict[str, Any]:
    """Return what says which numbers of a file are read."""
    content = contract.to_dict()
    for variable in (*content["input"], *content["output"]):
        for key in ("transform", "relative_to", "lower_bound", "upper_bound", "feature"):
            variable.pop(key, None)
    kept = ("input", "output", "dimensions", "parameter", "baseline", "filter", "split")
    return {key: content.get(key) for key in kept}


def _tuple(names: tuple[object, ...]) -> str:
    return "(" + ", ".join(map(str, names)) + ")"


def _text(value: object) -> str:
    return (value.decode() if isinstance(value, bytes) else str(value)).strip()


def _file_hash(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def embedded_dataset(contract: Contract) -> Path:
    """Return the data set that comes with the package for `contract`.

    Raises
    ------
    DataError
        There is none.
    """
    if contract.default_data is None:
        raise DataError(
            f"no data set comes with the contract '{contract.name}'; give --data the path of a "
            "netCDF file"
        )
    return Path(str(resources.files("emufort"))) / "data" / contract.default_data
