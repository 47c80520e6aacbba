"""Conversion between xarray data sets and the matrices of an emulator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import xarray as xr

from emufort.contract import Contract, Input, Output, Parameter
from emufort.contract_arrays import split_columns
from emufort.dataset.units import conversion
from emufort.errors import DataError, did_you_mean
from emufort.native.bindings import Real

#: Parameters may be stored in single precision.
_PARAMETER_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Stack:
    """The inputs of a data set as rows, and the dimensions to turn rows of outputs back.

    Attributes
    ----------
    contract
        Contract that describes the columns.
    x
        Inputs (n, n_inputs), one row for each point of the free dimensions.
    sizes
        Name and length of each free dimension; their product is n.
    coords
        Coordinates along free dimensions, and those of the contract's dimensions.
    """

    contract: Contract
    x: Real
    sizes: dict[str, int]
    coords: dict[str, Any]

    @classmethod
    def of(cls, data: xr.Dataset, contract: Contract) -> Self:
        """Stack the inputs of `data` to rows.

        Raises
        ------
        DataError
            A variable, dimension or label is missing, or units differ.
        """
        _check_present(data, contract)
        _check_parameters(data, contract)
        arrays = [_variable(data, variable, contract) for variable in contract.input]
        # the order of the first variable with most dimensions, then further dimensions
        sizes: dict[str, int] = {}
        for array in sorted(arrays, key=lambda a: -a.ndim):
            for name, length in array.sizes.items():
                if name not in contract.dimensions:
                    sizes.setdefault(str(name), length)
        single = all(array.dtype == np.float32 for array in arrays)
        shape = tuple(sizes.values())
        columns = []
        for variable, array in zip(contract.input, arrays, strict=True):
            missing = {name: n for name, n in sizes.items() if name not in array.dims}
            found = array.expand_dims(missing).transpose(*sizes, *variable.dimensions)
            # all sizes are given, because -1 is ambiguous if a dimension has no points
            columns.append(found.values.reshape(math.prod(shape), contract.width(variable)))
        x: Real = np.concatenate(columns, axis=1).astype(np.float32 if single else np.float64)
        of_outputs = dict.fromkeys(name for v in contract.output for name in v.dimensions)
        kept = {*sizes, *of_outputs}
        coords: dict[str, Any] = {}
        for array in arrays:
            for name, coordinate in array.coords.items():
                if kept.issuperset(map(str, coordinate.dims)):
                    coords.setdefault(str(name), coordinate)
        for name in of_outputs:
            labels = contract.dimensions[name]
            if not isinstance(labels, int):
                coords[name] = np.array(labels, dtype=str)
        return cls(contract, x, sizes, coords)

    def outputs(self, y: Real) -> xr.Dataset:
        """Return the outputs `y` (n, n_outputs) as a data set over the free dimensions."""
        variables = {}
        arrays = split_columns(self.contract, self.contract.output, y)
        for variable in self.contract.output:
            shape = (*self.sizes.values(), *self.contract.shape(variable))
            attrs = {"units": variable.units}
            if variable.long_name:
                attrs["long_name"] = variable.long_name
            variables[variable.name] = xr.Variable(
                (*self.sizes, *variable.dimensions), arrays[variable.name].reshape(shape), attrs
            )
        return xr.Dataset(variables, self.coords)


def _check_present(data: xr.Dataset, contract: Contract) -> None:
    missing = [v.name for v in contract.input if v.name not in data.variables]
    if missing:
        names = ", ".join(f"'{name}'" for name in missing)
        hint = did_you_mean(missing[0], map(str, data.variables))
        raise DataError(f"the data set has no variable {names}{hint}")


def _variable(
    data: xr.Dataset, variable: Input | Output | Parameter, contract: Contract
) -> xr.DataArray:
    """Return a variable in the contract's units and in the order of its labels."""
    name = variable.name
    found = data[name]
    units = str(found.attrs.get("units", "")).strip()
    converted = conversion(units, variable.units)
    if converted is None:
        raise DataError(
            f"'{name}' has the units '{units}', the emulator needs '{variable.units}'; convert it "
            "and set its attribute 'units'"
        )
    if found.dtype.kind not in "fiu":
        raise DataError(f"'{name}' is of type {found.dtype}, not real numbers")
    for dimension in contract.dimensions:
        if dimension in found.dims and dimension not in variable.dimensions:
            raise DataError(
                f"'{name}' has the dimension '{dimension}', which its contract does not have"
            )
    for dimension in variable.dimensions:
        found = _by_label(found, dimension, contract)
    if converted.changes:
        # in double precision, rounded once
        kind = found.dtype if found.dtype.kind == "f" else np.dtype(np.float64)
        found = found.copy(data=converted(found.values.astype(np.float64)).astype(kind))
    return found


def _by_label(found: xr.DataArray, dimension: str, contract: Contract) -> xr.DataArray:
    if dimension not in found.dims:
        raise DataError(f"'{found.name}' lacks the dimension '{dimension}'")
    entries = contract.dimensions[dimension]
    if isinstance(entries, int) or dimension not in found.coords:
        size = contract.size(dimension)
        if found.sizes[dimension] != size:
            labels = "" if isinstance(entries, int) else f": {', '.join(entries)}"
            raise DataError(
                f"'{found.name}' has {found.sizes[dimension]} entries along '{dimension}', the "
                f"emulator needs {size}{labels}"
            )
        return found
    present = [_label(value) for value in found[dimension].values]
    for label in entries:
        if label not in present:
            raise DataError(
                f"'{found.name}' has no {dimension} '{label}'; it has {', '.join(present)}"
            )
    chosen = found.isel({dimension: [present.index(label) for label in entries]})
    return chosen.drop_vars(dimension)


def _label(value: Any) -> str:
    return value.decode().strip() if isinstance(value, bytes) else str(value).strip()


def _check_parameters(data: xr.Dataset, contract: Contract) -> None:
    """Refuse a data set with other values of the parameters that the emulator takes as fixed."""
    for parameter in contract.parameter:
        if parameter.name not in data.variables:
            continue
        found = _variable(data, parameter, contract).transpose(..., *parameter.dimensions).values
        wanted = np.array(parameter.values).reshape(contract.shape(parameter))
        if not np.allclose(found, wanted, rtol=_PARAMETER_TOLERANCE, atol=0.0):
            raise DataError(
                f"'{parameter.name}' is {np.unique(found).tolist()}, the emulator is for "
                f"{list(parameter.values)}"
            )
