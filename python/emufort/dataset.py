"""CF netCDF data as arrays, checked against a contract."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Baseline, Column, Contract, Input, Output, Parameter
from emufort.errors import DataError, did_you_mean

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

    def __len__(self) -> int:
        return len(self.x)

    # ---------------------------------------------------------------- opening

    @classmethod
    def open(cls, path: str | Path | None, contract: Contract) -> Self:
        """Read a netCDF file; None means the data set that comes with the package.

        Raises
        ------
        DataError
            The file, a variable, a dimension or a label is missing, units differ, a label or input
            is NaN or infinite, a value lies outside the contract's range, outside the domain of its
            transform or beyond single precision, or no row is usable.
        """
        import xarray as xr

        source = embedded_dataset(contract) if path is None else Path(path)
        if not source.is_file():
            raise DataError(
                f"there is no data file {source}; give --data the path of a netCDF file"
            )
        try:
            with xr.open_dataset(source, engine="netcdf4", decode_times=False) as opened:
                raw = opened.load()
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise DataError(f"cannot read {source} as netCDF: {reason}") from error
        return cls.from_xarray(raw, contract, source, _file_hash(source))

    @classmethod
    def from_xarray(
        cls, raw: xr.Dataset, contract: Contract, source: Path = Path("memory"), sha256: str = ""
    ) -> Self:
        """Check `raw` against `contract` and keep the usable rows; errors as for `open`."""
        reader = _Reader(raw, contract, source)
        split = reader.split()
        keep, dropped = reader.usable_rows(split)
        x = reader.matrix(contract.input)[keep]
        y = reader.matrix(contract.output)[keep]
        rows = np.flatnonzero(keep)
        reader.check_parameters()
        reader.check_finite(x, contract.input_columns, rows)
        reader.check_finite(y, contract.output_columns, rows)
        reader.check_range(x, contract.input_columns, rows)
        reader.check_range(y, contract.output_columns, rows)
        references = [j for j in contract.reference_indices if j is not None]
        reader.check_domain(x, contract.input_columns, rows, references)
        reader.check_domain(y, contract.output_columns, rows)
        baselines = {b.name: reader.baseline(b, rows) for b in contract.baseline}
        return cls(contract, source, sha256, x, y, split[keep], rows, baselines, dropped)

    # -------------------------------------------------------------- selecting

    def take(self, indices: NDArray[np.int64]) -> Self:
        """Return the rows at `indices` (positions in this object)."""
        return replace(
            self,
            x=self.x[indices],
            y=self.y[indices],
            split=self.split[indices],
            rows=self.rows[indices],
            baselines={name: v[indices] for name, v in self.baselines.items()},
        )

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
        others = np.setdiff1d(np.arange(len(self)), pool)
        return self.take(np.concatenate([drawn, others]))

    # ------------------------------------------------------- the network's side

    @cached_property
    def features(self) -> Array:
        """What the network sees, physical units (n, n_features)."""
        return self.x[:, list(self.contract.feature_indices)]

    @cached_property
    def targets(self) -> Array:
        """Outputs, those relative to an input divided by it (n, n_outputs)."""
        y = self.y.copy()
        for j, reference in enumerate(self.contract.reference_indices):
            if reference is not None:
                y[:, j] /= self.x[:, reference]
        return y


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

    def check_finite(
        self, values: Array, columns: tuple[Column, ...], rows: NDArray[np.int64]
    ) -> None:
        for j, column in enumerate(columns):
            bad = np.flatnonzero(~np.isfinite(values[:, j]))
            if len(bad):
                raise DataError(
                    f"{self.source}: {column.name} is NaN or infinite in {len(bad)} of "
                    f"{len(values)} usable rows, first in row {rows[bad[0]]}; mend it or mark such "
                    "rows in the filter variable"
                )

    def check_range(
        self, values: Array, columns: tuple[Column, ...], rows: NDArray[np.int64]
    ) -> None:
        for j, column in enumerate(columns):
            slack_low = abs(column.lower) * _RANGE_SLACK if np.isfinite(column.lower) else 0.0
            slack_high = abs(column.upper) * _RANGE_SLACK if np.isfinite(column.upper) else 0.0
            v = values[:, j]
            bad = np.flatnonzero((v < column.lower - slack_low) | (v > column.upper + slack_high))
            if len(bad):
                raise DataError(
                    f"{self.source}: {column.name} is {v[bad[0]]:.6g} {column.units} in row "
                    f"{rows[bad[0]]} and outside the contract's range {column.lower:.6g} to "
                    f"{column.upper:.6g} in {len(bad)} rows; mend the data or widen the contract"
                )

    def check_domain(
        self,
        values: Array,
        columns: tuple[Column, ...],
        rows: NDArray[np.int64],
        references: Sequence[int] = (),
    ) -> None:
        """Find values that the column's transform, or single precision, cannot take.

        The columns at `references` are divided by, and the logarithm of the quotient is taken.
        """
        for j, column in enumerate(columns):
            v = values[:, j]
            size = np.abs(v)
            bad = size > _SINGLE.max
            if column.transform != "sigmoid":  # a fraction of 1e-39 may well become 0
                bad |= (size > 0) & (size < _SINGLE.tiny)
            why = "single precision cannot hold"
            advice = "choose other units"
            if not bad.any():
                advice = "mend the data or choose another transform"
                if column.transform in ("ln", "log10") or j in references:
                    bad, why = v <= 0, "has no logarithm"
                elif column.transform == "logit":
                    bad, why = (v <= 0) | (v >= 1), "has no logit"
            if bad.any():
                first = int(np.flatnonzero(bad)[0])
                raise DataError(
                    f"{self.source}: {column.name} is {v[first]:.6g} {column.units} in row "
                    f"{rows[first]}, which {why}, and so in {bad.sum()} of {len(v)} usable rows; "
                    f"{advice}"
                )

    def baseline(self, baseline: Baseline, rows: NDArray[np.int64]) -> Array:
        """Return what a classical scheme gives for `rows`, (n, k)."""
        name = baseline.variable
        values = self.values_of(name)[rows]
        for output in self.contract.output:
            if output.name == baseline.gives:
                self.check_units(name, output.units)
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(bad):
            raise DataError(
                f"{self.source}: {name}, of the baseline {baseline.name}, is NaN or infinite in "
                f"{len(bad)} of {len(values)} usable rows, first in row {rows[bad[0]]}"
            )
        return values

    def usable_rows(self, split: NDArray[np.int8]) -> tuple[NDArray[np.bool_], dict[str, int]]:
        """Say which rows may be used, and count the others by the reason."""
        keep, dropped = self._filtered()
        lost = keep & (split < 0)
        if lost.any():
            assert self.contract.split is not None
            dropped[f"{self.contract.split.variable} without a meaning"] = int(lost.sum())
            keep &= ~lost
            if not keep.any():
                raise DataError(
                    f"{self.source}: no row is usable, '{self.contract.split.variable}' is never "
                    f"{', '.join(SPLITS)}"
                )
        return keep, dropped

    def _filtered(self) -> tuple[NDArray[np.bool_], dict[str, int]]:
        rule = self.contract.filter
        if rule is None:
            return np.ones(self.n, dtype=bool), {}
        flags, meanings = self.flags(rule.variable)
        for meaning in rule.keep:
            if meaning not in meanings:
                raise DataError(
                    f"{self.source}: the flag '{rule.variable}' has no meaning '{meaning}'"
                    f"{did_you_mean(meaning, meanings)}"
                )
        keep = np.isin(flags, [meanings[m] for m in rule.keep])
        dropped = {m: int((flags == v).sum()) for m, v in meanings.items() if m not in rule.keep}
        without = ~np.isin(flags, list(meanings.values()))
        if without.any():
            dropped[f"{rule.variable} without a meaning"] = int(without.sum())
        if not keep.any():
            counts = ", ".join(f"{m} {c}" for m, c in dropped.items() if c)
            raise DataError(
                f"{self.source}: no row is usable, '{rule.variable}' is never "
                f"{' or '.join(rule.keep)} ({counts})"
            )
        return keep, dropped

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

    def split(self) -> NDArray[np.int8]:
        rule = self.contract.split
        if rule is None:
            shares = np.cumsum([_DEFAULT_SHARES[name] for name in SPLITS])
            order = np.random.default_rng(0).permutation(self.n)
            return np.searchsorted(shares * self.n, order, side="right").clip(0, 2).astype(np.int8)
        flags, meanings = self.flags(rule.variable)
        split = np.full(self.n, -1, dtype=np.int8)
        for code, name in enumerate(SPLITS):
            if name not in meanings:
                raise DataError(f"{self.source}: the flag '{rule.variable}' has no '{name}'")
            split[flags == meanings[name]] = code
        return split


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
