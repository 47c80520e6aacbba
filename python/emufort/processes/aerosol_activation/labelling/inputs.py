"""The inputs that are sampled: their ranges and distributions, and the columns of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emufort.processes.aerosol_activation.preset import Preset

#: Inputs with a uniform distribution. That of hygroscopicity is given by each mode; the logarithms
#: of all others are uniform.
_UNIFORM = ("air_temperature", "air_pressure")


@dataclass(frozen=True)
class SampledInput:
    """One column of a sample.

    Attributes
    ----------
    variable : str
        Name of the variable in the contract.
    mode : str or None
        Aerosol mode, None for a variable of the air parcel.
    lower, upper : float
        Bounds in `units`.
    units : str
        SI units of the bounds.
    logarithmic : bool
        Whether samples are uniform in the logarithm.
    """

    variable: str
    mode: str | None
    lower: float
    upper: float
    units: str
    logarithmic: bool


def sampled_inputs(preset: Preset) -> tuple[SampledInput, ...]:
    """Return the columns of a sample, those of the contract of the preset in its order."""
    return tuple(
        SampledInput(
            column.variable,
            column.label,
            column.lower,
            column.upper,
            column.units,
            not _is_uniform(preset, column.variable, column.label),
        )
        for column in preset.contract().input_columns
    )


def _is_uniform(preset: Preset, variable: str, mode: str | None) -> bool:
    if variable == "hygroscopicity" and mode is not None:
        return preset.modes[mode].hygroscopicity_distribution == "uniform"
    return variable in _UNIFORM


def scale_unit_cube(
    unit: NDArray[np.float64], inputs: Sequence[SampledInput]
) -> NDArray[np.float32]:
    """Map points of the unit cube to samples.

    Parameters
    ----------
    unit : ndarray, shape (n, n_inputs), float64
        Points in [0, 1).
    inputs : sequence of SampledInput
        Columns of a sample.

    Returns
    -------
    ndarray, shape (n, n_inputs), float32
        Samples in the units of `inputs`, rounded to single precision. Exactly these values are
        labelled and stored.

    Raises
    ------
    ValueError
        `unit` has another shape.
    """
    if unit.ndim != 2 or unit.shape[1] != len(inputs):
        raise ValueError(f"unit has shape {unit.shape}, expected (n, {len(inputs)})")
    columns = np.empty_like(unit)
    for k, entry in enumerate(inputs):
        if entry.logarithmic:
            columns[:, k] = entry.lower * (entry.upper / entry.lower) ** unit[:, k]
        else:
            columns[:, k] = entry.lower + (entry.upper - entry.lower) * unit[:, k]
        # rounding must not leave the range; rounding to float32 is monotonic
        np.clip(columns[:, k], entry.lower, entry.upper, out=columns[:, k])
    return columns.astype(np.float32)


def variables(inputs: Sequence[SampledInput]) -> tuple[str, ...]:
    """Return the names of the variables in the order of the contract."""
    return tuple(dict.fromkeys(entry.variable for entry in inputs))


def split_columns(
    samples: NDArray[np.floating], inputs: Sequence[SampledInput]
) -> dict[str, NDArray[np.float64]]:
    """Return the samples as a mapping from the name of a variable to its values.

    Parameters
    ----------
    samples : ndarray, shape (n, n_inputs)
        Rows.
    inputs : sequence of SampledInput
        Columns of a sample.

    Returns
    -------
    dict of str to ndarray, float64
        Shape (n,) for variables of the parcel, (n, mode) for those of the modes.
    """
    columns = {}
    for name in variables(inputs):
        index = [k for k, entry in enumerate(inputs) if entry.variable == name]
        block = np.asarray(samples[:, index], dtype=np.float64)
        columns[name] = block if inputs[index[0]].mode is not None else block[:, 0]
    return columns


def range_table(inputs: Sequence[SampledInput]) -> str:
    """Return the ranges as text, one line each, for the metadata of the data set."""
    lines = []
    for entry in inputs:
        name = entry.variable if entry.mode is None else f"{entry.variable}[{entry.mode}]"
        law = "log-uniform" if entry.logarithmic else "uniform"
        lines.append(f"{name}: {entry.lower:.6g} to {entry.upper:.6g} {entry.units}, {law}")
    return "\n".join(lines)
