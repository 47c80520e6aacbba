"""Conversion between xarray data sets and the matrices of an emulator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import xarray as xr

from emufort.contract import Contract, Input, Output, Parameter
from emufort.dataset.units import same_units
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
            own = () if variable.dimension is None else (variable.dimension,)
            missing = {name: n for name, n in sizes.items() if name not in array.dims}
            values = array.expand_dims(missing).transpose(*sizes, *own).values
            # all sizes are given, because -1 is ambiguous if a dimension has no points
            columns.append(values.reshape(math.prod(shape), contract.width(variable)))
        x: Real = np.concatenate(columns, axis=1).astype(np.float32 if single else np.float64)
        coords: dict[str, Any] = {}
        for array in arrays:
            for name, coordinate in array.coords.items():
                if all(str(dimension) in sizes for dimension in coordinate.dims):
                    coords.setdefault(str(name), coordinate)
        return cls(contract, x, sizes, coords)

    def outputs(self, y: Real) -> xr.Dataset:
        """Return the outputs `y` (n, n_outputs) as a data set over the free dimensions."""
        variables = {}
        coords = dict(self.coords)
        start = 0
        for variable in self.contract.output:
            width = self.contract.width(variable)
            values = y[:, start : start + width]
            start += width
            dims, shape = tuple(self.sizes), tuple(self.sizes.values())
            if variable.dimension is not None:
                dims, shape = (*dims, variable.dimension), (*shape, width)
                labels = self.contract.dimensions[variable.dimension]
                coords[variable.dimension] = np.array(labels, dtype=str)
            attrs = {"units": variable.units}
            if variable.long_name:
                attrs["long_name"] = variable.long_name
            variables[variable.name] = xr.Variable(dims, values.reshape(shape), attrs)
        return xr.Dataset(variables, coords)


def _variable(
    data: xr.Dataset, variable: Input | Output | Parameter, contract: Contract
) -> xr.DataArray:
    """Return a variable in the contract's units and in the order of its labels."""
    name = variable.name
    if name not in data.variables:
        hint = did_you_mean(name, map(str, data.variables))
        raise DataError(f"the data set has no variable '{name}'{hint}")
    found = data[name]
    units = str(found.attrs.get("units", "")).strip()
    if not same_units(units, variable.units):
        raise DataError(
            f"'{name}' has the units '{units}', the emulator needs '{variable.units}'; convert it "
            "and set its attribute 'units'"
        )
    if found.dtype.kind not in "fiu":
        raise DataError(f"'{name}' is of type {found.dtype}, not real numbers")
    for dimension in contract.dimensions:
        if dimension in found.dims and dimension != variable.dimension:
            raise DataError(
                f"'{name}' has the dimension '{dimension}', which its contract does not have"
            )
    if variable.dimension is not None:
        found = _by_label(found, variable.dimension, contract.dimensions[variable.dimension])
    return found


def _by_label(found: xr.DataArray, dimension: str, labels: tuple[str, ...]) -> xr.DataArray:
    if dimension not in found.dims:
        raise DataError(f"'{found.name}' lacks the dimension '{dimension}'")
    if dimension not in found.coords:
        if found.sizes[dimension] != len(labels):
            raise DataError(
                f"'{found.name}' has {found.sizes[dimension]} entries along '{dimension}', the "
                f"emulator needs {len(labels)}: {', '.join(labels)}"
            )
        return found
    present = [_label(value) for value in found[dimension].values]
    for label in labels:
        if label not in present:
            raise DataError(
                f"'{found.name}' has no {dimension} '{label}'; it has {', '.join(present)}"
            )
    chosen = found.isel({dimension: [present.index(label) for label in labels]})
    return chosen.drop_vars(dimension)


def _label(value: Any) -> str:
    return value.decode().strip() if isinstance(value, bytes) else str(value).strip()


def _check_parameters(data: xr.Dataset, contract: Contract) -> None:
    """Refuse a data set with other values of the parameters that the emulator takes as fixed."""
    for parameter in contract.parameter:
        if parameter.name not in data.variables:
            continue
        found = _variable(data, parameter, contract).values
        wanted = np.array(parameter.values).reshape(-1)
        if parameter.dimension is None:
            wanted = wanted[0]
        if not np.allclose(found, wanted, rtol=_PARAMETER_TOLERANCE, atol=0.0):
            raise DataError(
                f"'{parameter.name}' is {np.unique(found).tolist()}, the emulator is for "
                f"{list(parameter.values)}"
            )
