"""Read a CF data set by a contract: variables, labels, units, flags, missing values."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Baseline, Contract, Input, Output, Parameter
from emufort.dataset.complaints import RANGE_SLACK, Complaints
from emufort.dataset.grid import boxes
from emufort.dataset.netcdf import unwritten_value, valid_limits
from emufort.dataset.splits import SPLITS, drawn, drawn_by_blocks
from emufort.dataset.units import Conversion, conversion
from emufort.errors import DataError, did_you_mean
from emufort.messages import one_line

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]


class Reader:
    """Reads variables of a contract from an xarray Dataset and reports problems with them.

    Its rows are the points of the sample dimensions, the last one varying fastest.

    Parameters
    ----------
    raw
        The data.
    contract
        Contract that describes the variables.
    source
        File, or what to call the data in messages.
    rows
        The rows that are read; default: all.
    """

    def __init__(
        self, raw: xr.Dataset, contract: Contract, source: Path, rows: slice | None = None
    ) -> None:
        self.raw = raw
        self.contract = contract
        self.source = source
        #: Variable -> why its values are missing, where the file marks them by other means than
        #: NaN.
        self.missing: dict[str, str] = {}
        for dimension in contract.sample_dimensions:
            if dimension not in raw.sizes:
                found = [str(name) for name in raw.sizes]
                raise DataError(
                    f"{source} has no dimension '{dimension}'{did_you_mean(dimension, found)}, "
                    f"which is the contract's sample_dimension; it has {', '.join(found) or 'none'}"
                )
            if raw.sizes[dimension] == 0:
                raise DataError(f"{source} has no rows: the dimension '{dimension}' has length 0")
        #: Lengths of the sample dimensions in the data.
        self.lengths = tuple(raw.sizes[name] for name in contract.sample_dimensions)
        self._rows = slice(0, math.prod(self.lengths)) if rows is None else rows
        self.n = self._rows.stop - self._rows.start

    def variable(self, name: str) -> xr.DataArray:
        """Return the variable `name` of the file; raise `DataError` if it is missing."""
        if name not in self.raw.variables:
            raise DataError(
                f"{self.source} has no variable '{name}'"
                f"{did_you_mean(name, map(str, self.raw.variables))}"
            )
        return self.raw[name]

    def values_of(self, name: str, found: xr.DataArray) -> Array:
        """Return a variable along the samples, shape (n, k).

        Raises
        ------
        DataError
            The variable lacks the sample dimension or does not hold numbers.
        """
        along = self._sample_dimensions_of(found)
        if not along or any(found.dims.count(dimension) > 1 for dimension in along):
            names = "' or '".join(self.contract.sample_dimensions)
            raise DataError(f"{self.source}: '{name}' lacks the dimension '{names}'")
        return self._along_rows(name, found, [d for d in found.dims if d not in along])

    def _sample_dimensions_of(self, found: xr.DataArray) -> tuple[str, ...]:
        return tuple(name for name in self.contract.sample_dimensions if name in found.dims)

    def _along_rows(self, name: str, found: xr.DataArray, own: Sequence[Any]) -> Array:
        """Return the rows of a variable, (n, k).

        A variable is repeated along the sample dimensions that it does not have.

        Parameters
        ----------
        own
            Dimensions of the columns, the last one varying fastest.
        """
        along = self._sample_dimensions_of(found)
        found = found.transpose(*along, *own)
        shape = [found.sizes[dimension] for dimension in own]
        parts = []
        for box in boxes(self._rows, self.lengths):
            place = dict(zip(self.contract.sample_dimensions, box, strict=True))
            values = self._numbers(
                name, found.isel({dimension: place[dimension] for dimension in along})
            )
            lengths = {dimension: part.stop - part.start for dimension, part in place.items()}
            once = [length if dimension in along else 1 for dimension, length in lengths.items()]
            every = np.broadcast_to(values.reshape(*once, *shape), (*lengths.values(), *shape))
            parts.append(every.reshape(math.prod(lengths.values()), math.prod(shape)))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _numbers(self, name: str, found: xr.DataArray) -> Array:
        """Return the values of `found`, NaN where they are missing."""
        if found.dtype.kind not in "biuf":
            raise DataError(f"{self.source}: '{name}' does not hold numbers")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                values = np.asarray(found.values, dtype=np.float64)
                fill, (lower, upper) = unwritten_value(found), valid_limits(found)
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

    def conversion(self, name: str, wanted: str) -> Conversion:
        """Return the change of a variable to the units of the contract.

        Raises
        ------
        DataError
            The units are not known, or are those of another quantity.
        """
        units = str(self.variable(name).attrs.get("units", "")).strip()
        found = conversion(units, wanted)
        if found is None:
            raise DataError(
                f"{self.source}: '{name}' has the units '{units}', the contract "
                f"'{self.contract.name}' requires '{wanted}'"
            )
        return found

    def column_block(self, variable: Input | Output | Parameter, over_samples: bool) -> Array:
        """Return the values of a contract variable in its units, selected by its labels.

        The dimensions are put in the order of the contract by their names.

        Returns
        -------
        numpy.ndarray
            Values (n, width), or (1, width) for a variable that is the same for all samples.

        Raises
        ------
        DataError
            The variable or a label is missing, or units or dimensions differ.
        """
        found = self.variable(variable.name)
        converted = self.conversion(variable.name, variable.units)
        along: tuple[str, ...] = ()
        if over_samples:
            # One of several sample dimensions is enough.
            along = self._sample_dimensions_of(found) or self.contract.sample_dimensions
        if sorted(map(str, found.dims)) != sorted((*along, *variable.dimensions)):
            every = self.contract.sample_dimensions if over_samples else ()
            raise DataError(
                f"{self.source}: '{variable.name}' has the dimensions {_tuple(found.dims)}, the "
                f"contract '{self.contract.name}' requires {_tuple((*every, *variable.dimensions))}"
            )
        for dimension in variable.dimensions:
            found = self._by_label(found, variable.name, dimension)
        if over_samples:
            return converted(self._along_rows(variable.name, found, variable.dimensions))
        values = self._numbers(variable.name, found.transpose(*variable.dimensions))
        return converted(values.reshape(1, -1))

    def _by_label(self, found: xr.DataArray, name: str, dimension: str) -> xr.DataArray:
        """Return a variable with the entries of a dimension in the order of the contract."""
        entries = self.contract.dimensions[dimension]
        if isinstance(entries, int) or dimension not in found.coords:
            size = self.contract.size(dimension)
            if found.sizes[dimension] != size:
                named = f"names {size}: {', '.join(self.contract.labels(dimension))}"
                raise DataError(
                    f"{self.source}: '{name}' has {found.sizes[dimension]} entries along "
                    f"'{dimension}', the contract {size if isinstance(entries, int) else named}"
                )
            return found
        present = [_text(value) for value in found[dimension].values]
        for label in entries:
            if present.count(label) != 1:
                what = "several entries of the" if label in present else "no"
                raise DataError(
                    f"{self.source}: '{name}' has {what} {dimension} '{label}'; it has "
                    f"{', '.join(present)}"
                )
        return found.isel({dimension: [present.index(label) for label in entries]})

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
        """Return a reader of the rows `part` of these; values are read lazily."""
        first = self._rows.start
        rows = slice(first + part.start, first + part.stop)
        return Reader(self.raw, self.contract, self.source, rows)

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
        parts = []
        for name, quantity in pairs:
            found, _, converted = self._given(baseline, name, quantity)
            parts.append(converted(self.values_of(name, found)))
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def baseline_shapes(self, baseline: Baseline) -> tuple[tuple[int, ...], ...]:
        """Return the shape of each variable of a classical scheme in one sample."""
        pairs = zip(baseline.variables, baseline.quantities, strict=True)
        found = [self._given(baseline, name, quantity) for name, quantity in pairs]
        return tuple(tuple(one.sizes[dimension] for dimension in own) for one, own, _ in found)

    def _given(
        self, baseline: Baseline, name: str, quantity: str
    ) -> tuple[xr.DataArray, tuple[str, ...], Conversion]:
        """Return a variable of a classical scheme.

        Returns
        -------
        found, own
            The variable, and its dimensions but those of the samples.
        converted
            The change of its units, if it is one of the outputs.
        """
        found = self.variable(name)
        along = self._sample_dimensions_of(found)
        own = tuple(str(dimension) for dimension in found.dims if dimension not in along)
        for dimension in own:
            if dimension in self.contract.dimensions:
                found = self._by_label(found, name, dimension)
        for output in self.contract.output:
            if output.name != quantity:
                continue
            converted = self.conversion(name, output.units)
            if sorted(own) != sorted(output.dimensions):
                wanted = (*self.contract.sample_dimensions, *output.dimensions)
                raise DataError(
                    f"{self.source}: '{name}' of the baseline {baseline.name} has the dimensions "
                    f"{_tuple(found.dims)}; as '{output.name}' it needs {_tuple(wanted)}"
                )
            return found.transpose(*along, *output.dimensions), output.dimensions, converted
        return found, own, Conversion()

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
        along = self._sample_dimensions_of(found)
        if not along or sorted(map(str, found.dims)) != sorted(along):
            raise DataError(
                f"{self.source}: the flag '{name}' has the dimensions {_tuple(found.dims)} and "
                f"needs {_tuple(self.contract.sample_dimensions)}"
            )
        try:
            meanings = _flag_meanings(found.attrs)
        except ValueError as error:
            raise DataError(f"{self.source}: the flag '{name}' {error}") from error
        return self.values_of(name, found)[:, 0], meanings

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


def drawn_split(readers: Sequence[Reader], contract: Contract) -> NDArray[np.int8] | None:
    """Return the split of all rows (n,), None if the data have a variable with it.

    Raises
    ------
    DataError
        There are too few blocks for all splits.
    """
    rule = contract.split
    if rule is None:
        return drawn(sum(reader.n for reader in readers))
    if rule.dimension is None:
        return None
    axis = contract.sample_dimensions.index(rule.dimension)
    return drawn_by_blocks([reader.lengths for reader in readers], axis, rule.block)


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
