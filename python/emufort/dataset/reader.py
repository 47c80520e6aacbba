"""Read a CF netCDF file by a contract: variables, labels, units, flags, missing values."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Baseline, Contract, Input, Output, Parameter, one_line
from emufort.dataset import rows as tables
from emufort.dataset.complaints import RANGE_SLACK, Complaints
from emufort.dataset.splits import DEFAULT_SHARES, SPLITS
from emufort.dataset.units import same_units
from emufort.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]

#: Bytes of chunks that netCDF caches per variable; its default of 16 MB adds up for many of them.
_CHUNK_CACHE = 2 << 20


@contextmanager
def open_netcdf(source: Path) -> Iterator[xr.Dataset]:
    """Open a netCDF file; values are read lazily.

    Raises
    ------
    DataError
        The file is not a netCDF file, or is damaged.
    """
    import xarray as xr

    # A file is untrusted. xarray raises exceptions of any type on contradictory attributes, and its
    # warnings would appear among the messages of emufort.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with _little_chunk_cache():
                opened = xr.open_dataset(source, engine="netcdf4", decode_times=False, cache=False)
        except MemoryError:
            raise
        except Exception as error:
            raise _unreadable(source, error) from error
        with opened:
            try:
                yield opened
            except (OSError, RuntimeError) as error:
                raise _unreadable(source, error) from error


@contextmanager
def _little_chunk_cache() -> Iterator[None]:
    """Limit the memory in which netCDF caches a file that is opened in this context."""
    import netCDF4

    size, elements, preemption = netCDF4.get_chunk_cache()
    netCDF4.set_chunk_cache(min(size, _CHUNK_CACHE), elements, preemption)
    try:
        yield
    finally:
        netCDF4.set_chunk_cache(size, elements, preemption)


def _unreadable(source: Path, error: Exception) -> DataError:
    reason = getattr(error, "strerror", None) or one_line(error)
    return DataError(f"cannot read {source} as netCDF: {reason or type(error).__name__}")


def _type_in_file(found: xr.DataArray) -> np.dtype[Any]:
    """Return the type of the values in the file, before unpacking."""
    stored: np.dtype[Any] = np.dtype(found.encoding.get("dtype", found.dtype))
    return stored


def _unpacked(found: xr.DataArray, stored: Any) -> Array:
    """Unpack stored values with the scale factor and the offset of `found`."""
    values = np.atleast_1d(stored).astype(found.dtype)
    if "scale_factor" in found.encoding:
        values = (values * found.encoding["scale_factor"]).astype(found.dtype)
    if "add_offset" in found.encoding:
        values = (values + found.encoding["add_offset"]).astype(found.dtype)
    return values.astype(np.float64)


def _unwritten(found: xr.DataArray) -> float | None:
    """Return the value of `found` that marks data never written, if the file does not name it.

    netCDF fills new variables with a value that depends on the type. Bytes are not filled.
    """
    import netCDF4

    if {"_FillValue", "_Unsigned"} & {*found.encoding, *found.attrs}:
        return None
    kind = _type_in_file(found).str[1:]
    if kind in ("i1", "u1") or kind not in netCDF4.default_fillvals or kind[0] not in "iuf":
        return None
    return float(_unpacked(found, netCDF4.default_fillvals[kind])[0])


def _valid_limits(found: xr.DataArray) -> tuple[float, float]:
    """Return the lowest and the highest valid value by the CF attributes.

    Limits of packed data are packed themselves, unless they are of another type.

    Raises
    ------
    ValueError
        The attributes are not numbers.
    """
    stored, packed = _type_in_file(found), {"scale_factor", "add_offset"} & set(found.encoding)

    def numbers(name: str, n: int) -> list[float]:
        values = np.atleast_1d(found.attrs[name])
        if values.dtype.kind not in "iuf" or values.shape != (n,) or np.isnan(values).any():
            what = "a number" if n == 1 else "two numbers"
            raise ValueError(f"the attribute {name} is not {what}")
        if packed and values.dtype == stored:
            return sorted(_unpacked(found, values).tolist())
        # In the precision of the data: 0.1 in single precision is above 0.1 in double.
        same = values.astype(found.dtype) if found.dtype.kind == "f" else values
        return [float(value) for value in same]

    lower, upper = -np.inf, np.inf
    if "valid_range" in found.attrs:
        lower, upper = numbers("valid_range", 2)
    if "valid_min" in found.attrs:
        lower = max(lower, numbers("valid_min", 1)[0])
    if "valid_max" in found.attrs:
        upper = min(upper, numbers("valid_max", 1)[0])
    return lower, upper


class Reader:
    """Reads variables of a contract from an xarray Dataset and reports problems with them."""

    def __init__(self, raw: xr.Dataset, contract: Contract, source: Path) -> None:
        self.raw = raw
        self.contract = contract
        self.source = source
        #: Variable -> why its values are missing, where the file marks them by other means than
        #: NaN.
        self.missing: dict[str, str] = {}
        dimension = contract.sample_dimension
        if dimension not in raw.sizes:
            found = [str(name) for name in raw.sizes]
            raise DataError(
                f"{source} has no dimension '{dimension}'{did_you_mean(dimension, found)}, which "
                f"is the contract's sample_dimension; it has {', '.join(found) or 'none'}"
            )
        self.n = raw.sizes[dimension]
        if self.n == 0:
            raise DataError(f"{source} has no rows: the dimension '{dimension}' has length 0")

    def variable(self, name: str) -> xr.DataArray:
        """Return the variable `name` of the file; raise `DataError` if it is missing."""
        if name not in self.raw.variables:
            raise DataError(
                f"{self.source} has no variable '{name}'"
                f"{did_you_mean(name, map(str, self.raw.variables))}"
            )
        return self.raw[name]

    def values_of(self, name: str, found: xr.DataArray) -> Array:
        """Return a variable along the sample dimension, shape (n, k).

        Raises
        ------
        DataError
            The variable lacks the sample dimension or does not hold numbers.
        """
        dimension = self.contract.sample_dimension
        if found.dims.count(dimension) != 1:
            raise DataError(f"{self.source}: '{name}' lacks the dimension '{dimension}'")
        return self._numbers(name, found.transpose(dimension, ...)).reshape(self.n, -1)

    def _numbers(self, name: str, found: xr.DataArray) -> Array:
        """Return the values of `found`, NaN where they are missing."""
        if found.dtype.kind not in "biuf":
            raise DataError(f"{self.source}: '{name}' does not hold numbers")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                values = np.asarray(found.values, dtype=np.float64)
                fill, (lower, upper) = _unwritten(found), _valid_limits(found)
        except MemoryError:
            raise
        except Exception as error:  # any exception, if attributes contradict each other
            raise DataError(f"{self.source}: cannot read '{name}': {one_line(error)}") from error
        if fill is not None:
            values = self._without(name, values, values == fill, "was never written")
        if lower > -np.inf or upper < np.inf:
            invalid = (values < lower) | (values > upper)
            values = self._without(name, values, invalid, "lies outside the file's valid range")
        return values

    def _without(self, name: str, values: Array, bad: NDArray[np.bool_], why: str) -> Array:
        if not bad.any():
            return values
        self.missing[name] = why
        return np.where(bad, np.nan, values)

    def check_units(self, name: str, wanted: str) -> None:
        """Compare the units of a variable with those of the contract.

        Raises
        ------
        DataError
            The units differ.
        """
        units = str(self.variable(name).attrs.get("units", "")).strip()
        if not same_units(units, wanted):
            raise DataError(
                f"{self.source}: '{name}' has the units '{units}', the contract "
                f"'{self.contract.name}' requires '{wanted}'"
            )

    def column_block(self, variable: Input | Output | Parameter, over_samples: bool) -> Array:
        """Return the values of a contract variable; check its units and select by its labels.

        Raises
        ------
        DataError
            The variable or a label is missing, or units or dimensions differ.
        """
        found = self.variable(variable.name)
        self.check_units(variable.name, variable.units)
        wanted = (self.contract.sample_dimension,) if over_samples else ()
        if variable.dimension is not None:
            wanted = (*wanted, variable.dimension)
        if sorted(map(str, found.dims)) != sorted(wanted):
            raise DataError(
                f"{self.source}: '{variable.name}' has the dimensions {_tuple(found.dims)}, the "
                f"contract '{self.contract.name}' requires {_tuple(wanted)}"
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
            if present.count(label) != 1:
                what = "several entries of the" if label in present else "no"
                raise DataError(
                    f"{self.source}: '{name}' has {what} {dimension} '{label}'; it has "
                    f"{', '.join(present)}"
                )
        return found.isel({dimension: [present.index(label) for label in labels]})

    def matrix(self, variables: tuple[Input, ...] | tuple[Output, ...]) -> Array:
        """Return the columns of all `variables`, (n, n_columns)."""
        return np.concatenate([self.column_block(v, over_samples=True) for v in variables], axis=1)

    def check_parameters(self) -> None:
        """Compare the parameters in the file with those of the contract.

        Raises
        ------
        DataError
            A value differs from that of the contract.
        """
        for parameter in self.contract.parameter:
            if parameter.name not in self.raw.variables:
                continue
            values = self.column_block(parameter, over_samples=False)[0]
            if not np.allclose(values, parameter.values, rtol=RANGE_SLACK, atol=0.0):
                raise DataError(
                    f"{self.source}: '{parameter.name}' is {values.tolist()}, the contract "
                    f"'{self.contract.name}' is for {list(parameter.values)}"
                )

    def part(self, part: slice) -> Reader:
        """Return a reader of the rows `part`; values are read lazily."""
        rows = self.raw.isel({self.contract.sample_dimension: part})
        return Reader(rows, self.contract, self.source)

    def read(
        self, first: int, split: NDArray[np.int8] | None, complaints: Complaints
    ) -> tuple[NDArray[Any], ...]:
        """Return inputs, outputs, split, row numbers and baselines of the usable rows.

        Parameters
        ----------
        first
            Position of the first row of this reader in the file.
        split
            Split of every row; None if the data contain it.
        complaints
            Receives problems with values, and the rows that were left out.
        """
        contract = self.contract
        self.missing = complaints.missing
        split = self.split() if split is None else split
        keep = self.usable_rows(split, complaints)
        # A slice copies nothing, where one can be used.
        kept: Any = slice(None) if keep.all() else keep
        x = self.matrix(contract.input)[kept]
        y = self.matrix(contract.output)[kept]
        rows = first + np.flatnonzero(keep)
        baselines = [self.baseline(b)[kept] for b in contract.baseline]
        complaints.look(x, y, rows, baselines)
        return (x, y, split[kept], rows, *baselines)

    def baseline(self, baseline: Baseline) -> Array:
        """Return the values of a classical scheme for every row, (n, k), variable by variable."""
        pairs = zip(baseline.variables, baseline.quantities, strict=True)
        parts = [self._given(baseline, name, quantity) for name, quantity in pairs]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def baseline_widths(self, baseline: Baseline) -> tuple[int, ...]:
        """Return the number of columns of each variable of a classical scheme."""
        sample = self.contract.sample_dimension
        sizes = (self.variable(name).sizes for name in baseline.variables)
        return tuple(math.prod(n for d, n in one.items() if str(d) != sample) for one in sizes)

    def _given(self, baseline: Baseline, name: str, quantity: str) -> Array:
        found = self.variable(name)
        other = [d for d in map(str, found.dims) if d != self.contract.sample_dimension]
        labelled = found.ndim == 2 and other and other[0] in self.contract.dimensions
        if labelled:
            found = self._by_label(found, name, other[0])
        values = self.values_of(name, found)
        for output in self.contract.output:
            if output.name != quantity:
                continue
            self.check_units(name, output.units)
            wanted = (output.dimension,) if output.dimension else ()
            if tuple(other) != wanted:
                raise DataError(
                    f"{self.source}: '{name}' of the baseline {baseline.name} has the dimensions "
                    f"{_tuple(found.dims)}; as '{output.name}' it needs "
                    f"{_tuple((self.contract.sample_dimension, *wanted))}"
                )
        return values

    def usable_rows(self, split: NDArray[np.int8], complaints: Complaints) -> NDArray[np.bool_]:
        """Return which rows are usable (n,); count the other rows by reason."""
        keep = self._filtered(complaints)
        lost = keep & (split < 0)
        if lost.any():
            assert self.contract.split is not None
            complaints.drop(f"{self.contract.split.variable} without a meaning", lost)
            keep &= ~lost
        complaints.kept += int(keep.sum())
        return keep

    def _filtered(self, complaints: Complaints) -> NDArray[np.bool_]:
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

    def flags(self, name: str) -> tuple[Array, dict[str, float]]:
        """Return a CF flag variable (n,), NaN where it is missing, and its meanings.

        Raises
        ------
        DataError
            The variable is not a CF flag along the sample dimension.
        """
        found = self.variable(name)
        if found.dims != (self.contract.sample_dimension,):
            raise DataError(
                f"{self.source}: the flag '{name}' has the dimensions {_tuple(found.dims)} and "
                f"needs {_tuple((self.contract.sample_dimension,))}"
            )
        try:
            meanings = _flag_meanings(found.attrs)
        except ValueError as error:
            raise DataError(f"{self.source}: the flag '{name}' {error}") from error
        return self.values_of(name, found)[:, 0], meanings

    def default_split(self) -> NDArray[np.int8] | None:
        """Return the split of every row (n,) if the contract has no split variable, else None."""
        if self.contract.split is not None:
            return None
        shares = np.cumsum([DEFAULT_SHARES[name] for name in SPLITS])
        order = np.random.default_rng(0).permutation(self.n)
        split = np.empty(self.n, dtype=np.int8)
        for part in tables.blocks(self.n):
            found = np.searchsorted(shares * self.n, order[part], side="right")
            split[part] = found.clip(0, 2)
        return split

    def split(self) -> NDArray[np.int8]:
        """Return the split of every row (n,), -1 where the data have none.

        Raises
        ------
        DataError
            The flag of the contract lacks one of the splits.
        """
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


def _flag_meanings(attributes: Mapping[str, Any]) -> dict[str, float]:
    """Return meaning -> value of a CF flag.

    Raises
    ------
    ValueError
        The attributes flag_values and flag_meanings are missing or inconsistent.
    """
    lacking = [name for name in ("flag_values", "flag_meanings") if name not in attributes]
    if lacking:
        raise ValueError(f"lacks the attribute{'s' * (len(lacking) - 1)} {' and '.join(lacking)}")
    values = np.atleast_1d(attributes["flag_values"])
    if values.dtype.kind not in "iuf" or values.ndim != 1 or not np.isfinite(values).all():
        shown = one_line(" ".join(map(str, np.ravel(values))))
        raise ValueError(f"has flag_values that are not all numbers: {shown}")
    given = attributes["flag_meanings"]
    words = given.split() if isinstance(given, str) else [_text(v) for v in np.atleast_1d(given)]
    if len(words) != len(values):
        raise ValueError(f"has {len(values)} flag_values and {len(words)} flag_meanings")
    for what, known in (("flag_values", values.tolist()), ("flag_meanings", words)):
        twice = [v for v in known if known.count(v) > 1]
        if twice:
            raise ValueError(f"has {twice[0]} twice among its {what}")
    return dict(zip(words, map(float, values), strict=True))


def _tuple(names: Sequence[object]) -> str:
    return "(" + ", ".join(map(str, names)) + ")"


def _text(value: object) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.strip()
