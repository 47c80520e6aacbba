"""A table with units, which becomes a DataFrame of pandas or a Dataset of xarray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emufort.brief import brief, listed

if TYPE_CHECKING:
    import pandas
    import xarray
    from numpy.typing import NDArray

#: Columns that several tables have -> unit and meaning. A loss has no unit, because it refers to
#: transformed outputs; an empty unit depends on the contract.
_KNOWN = {
    "value": ("1", "lowest validation loss of step 1"),
    "epochs": ("1", "epochs trained"),
    "pruned": ("", "whether halving stopped the candidate"),
    "finite": ("", "whether the training did not diverge"),
    "label": ("", "architecture"),
    "activation": ("", "activation function of the hidden layers"),
    "depth": ("1", "number of hidden layers"),
    "width": ("1", "neurons of each hidden layer; 0 where there is no such layer"),
    "learning_rate": ("1", "peak learning rate"),
    "batch_size": ("1", "samples per training step"),
    "weight_decay": ("1", "weight decay per unit of learning rate"),
    "n_parameters": ("1", "number of weights and biases"),
    "multiply_adds": ("1", "multiply-adds per sample"),
    "seconds": ("s", "training time"),
    "batch": ("1", "number of the batch of candidates"),
    "loss": ("1", "validation loss at each rung; NaN where the candidate did not reach it"),
    "predicted_rank": ("1", "place in the order of the losses that step 1 predicts"),
    "enqueued": ("", "whether the user gave the candidate"),
    "target": ("", "target that the network predicts"),
    "trial": ("1", "number of the trial of step 1"),
    "seed": ("1", "random seed of step 2"),
    "seeds": ("1", "number of trainings"),
    "why": ("", "group of step 2: control or front"),
    "search_loss": ("1", "lowest validation loss of step 1"),
    "search_rank": ("1", "rank after step 1"),
    "validation_loss": ("1", "lowest validation loss of step 2"),
    "validation_loss_spread": ("1", "standard deviation of the loss over the seeds"),
    "r2": ("1", "coefficient of determination over the validation rows"),
    "steps": ("1", "training steps"),
    "rank": ("1", "rank"),
    "ncol": ("1", "columns per call"),
    "repeats": ("1", "number of measurements"),
    "predicted_ns": ("ns", "predicted time of one sample"),
    "ns_per_sample": ("ns", "median time of one sample"),
    "ns_min": ("ns", "shortest time of one sample"),
    "ns_max": ("ns", "longest time of one sample"),
    "low": ("1", "lower end of the 90 % interval of the loss"),
    "high": ("1", "upper end of the 90 % interval of the loss"),
    "trained": ("1", "loss of step 2; NaN where the candidate was not trained"),
    "on_front": ("", "whether the network is on the front of error and time"),
    "chosen": ("", "whether the network was selected"),
    "rung": ("1", "epochs of the rung"),
    "layer": ("1", "number of the hidden layer"),
    "id": ("", "identity of the network"),
    "kind": ("", "emulator (candidate) or classical scheme (baseline)"),
    "row": ("1", "number of the row"),
    "backend": ("", "program that was timed: fortran or onnxruntime"),
    "compiler": ("", "compiler and its version"),
    "flags": ("", "compiler flags"),
}
#: Columns in the unit of the skill variables.
_ERRORS = {
    "rmse": "root mean square error over the validation rows",
    "mae": "mean absolute error over the validation rows",
    "bias": "mean error over the validation rows",
    "rmse_spread": "standard deviation of the error over the seeds",
}


@dataclass(frozen=True, repr=False)
class Table:
    """Values of equal things, such as all trials.

    Attributes
    ----------
    index
        Name of the column that identifies a row.
    columns
        Name -> values (n,), the index included.
    arrays
        Name -> (name of a second axis, values (n, m)).
    axes
        Name of a second axis -> its coordinates (m,).
    error_units
        Unit of errors such as the RMSE; empty if it is not known.
    attrs
        Facts about the whole table.
    meanings
        Name of a column or quantity -> its meaning, where it differs from the usual one; the unit
        is then not known.
    """

    index: str
    columns: Mapping[str, Sequence[Any]]
    arrays: Mapping[str, tuple[str, NDArray[Any]]] = field(default_factory=dict)
    axes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    error_units: str = ""
    attrs: Mapping[str, Any] = field(default_factory=dict)
    meanings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        index: str,
        rows: Sequence[Mapping[str, Any]],
        error_units: str = "",
        attrs: Mapping[str, Any] | None = None,
    ) -> Table:
        """Return a table of rows with the same keys."""
        names = list(rows[0]) if rows else [index]
        columns = {name: [row[name] for row in rows] for name in names}
        return cls(index, columns, error_units=error_units, attrs=attrs or {})

    def __len__(self) -> int:
        return len(self.columns[self.index])

    def __repr__(self) -> str:
        return brief(self, self.index, f"{len(self)} rows", listed(list(self.columns)))

    def to_pandas(self) -> pandas.DataFrame:
        """Return a DataFrame; ``attrs["units"]`` has the units of its columns.

        A quantity with a second axis has one column per coordinate, such as ``width_1``.
        """
        import pandas

        found = {name: _typed(name, values) for name, values in self.columns.items()}
        units = {name: self._attributes(name).get("units", "") for name in found}
        for name, (axis, values) in self.arrays.items():
            for j, at in enumerate(self.axes[axis]):
                found[f"{name}_{at}"] = values[:, j]
                units[f"{name}_{at}"] = self._attributes(name).get("units", "")
        frame = pandas.DataFrame(found).set_index(self.index)
        del units[self.index]
        frame.attrs = {**self.attrs, "units": {k: unit for k, unit in units.items() if unit}}
        return frame

    def to_xarray(self) -> xarray.Dataset:
        """Return a Dataset whose variables have the attributes units and long_name."""
        import xarray

        def coordinate(name: str, values: Sequence[Any]) -> Any:
            return ((name,), _typed(name, values), self._attributes(name))

        variables = {
            name: ((self.index,), _typed(name, values), self._attributes(name))
            for name, values in self.columns.items()
            if name != self.index
        } | {
            name: ((self.index, axis), values, self._attributes(name))
            for name, (axis, values) in self.arrays.items()
        }
        axes = {self.index: self.columns[self.index], **self.axes}
        coordinates = {name: coordinate(name, values) for name, values in axes.items()}
        return xarray.Dataset(variables, coordinates, dict(self.attrs))

    def _attributes(self, name: str) -> dict[str, str]:
        if name in self.meanings:
            found = {"long_name": self.meanings[name]}
        elif name in _ERRORS:
            found = {"units": self.error_units, "long_name": _ERRORS[name]}
        else:
            units, meaning = _KNOWN.get(name, ("", ""))
            found = {"units": units, "long_name": meaning}
        return {key: text for key, text in found.items() if text}


def _typed(name: str, values: Sequence[Any]) -> NDArray[Any]:
    """Return an array; numbers that are not known are NaN, texts keep their length."""
    import numpy as np

    known = [value for value in values if value is not None and value != ""]
    # A quantity has a unit, so a column of it holds numbers even if none of them is known.
    quantity = name in _ERRORS or bool(_KNOWN.get(name, ("",))[0])
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in known)
    if numbers and (known or quantity):
        if len(known) == len(values) and all(isinstance(v, int) for v in known):
            return np.array(values, dtype=np.int64)
        return np.array([np.nan if v is None or v == "" else v for v in values], dtype=np.float64)
    if known and all(isinstance(value, bool) for value in known):
        return np.array(values, dtype=bool)
    return np.array([str(value) for value in values], dtype=object)
