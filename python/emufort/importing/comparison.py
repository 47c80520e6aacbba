"""Compare an imported network with its original."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emufort.export.agreement import rounding_bound
from emufort.importing.contracts import transforms_of_inputs
from emufort.importing.reference import Reference
from emufort.importing.refusal import ImportRefusedError
from emufort.network.activations import Array
from emufort.network.emulator import Emulator
from emufort.network.precision import TOLERANCES

#: If the two differ by more, in units of the spread of an output, the reference implementation of
#: ONNX does not compute what ONNX Runtime does, and the network is compared with the latter alone.
_MOST_NOISE = 1e-2
#: Smallest normal number of single precision.
_SMALLEST = float(np.finfo(np.float32).tiny)
#: Samples on which the original is computed in double precision.
_COMPARED = 64


def compared(
    emulator: Emulator, exact: Callable[[], Emulator], reference: Reference, x: Array
) -> Array:
    """Compare the network with the original; return the outputs in the units of the contract.

    Parameters
    ----------
    emulator
        The imported network.
    exact
        Returns the network with weights in double precision; only called where the two differ.
    reference
        The original.
    x
        Inputs (n, n_inputs) in the units of the contract.

    Raises
    ------
    ImportRefusedError
        The two differ.
    """
    seen = x.copy()
    transformed = transforms_of_inputs(emulator.contract).forward(x)
    for j, column in enumerate(emulator.contract.input_columns):
        if column.transform != "none":
            seen[:, j] = transformed[:, j]
    lower, upper = np.array(emulator.contract.output_bounds).T

    def physical(y: Array) -> Array:
        if y.shape[1] != len(lower):
            raise ImportRefusedError(
                f"the original has {y.shape[1]} output values for each of {len(y)} columns and "
                f"{len(lower)} for a single one; the first dimension of its outputs must be that "
                "of the columns"
            )
        return np.clip(emulator.output_scaler.backward(y), lower, upper)

    together = _without_subnormal(emulator, physical(reference.outputs(seen)))
    _check_outputs(emulator, together)
    alone = physical(reference.outputs(seen[:_COMPARED], one_by_one=True))
    spread = _spread(together)
    double, noise = alone, np.zeros(len(spread))
    found_in_double = reference.outputs_in_double(seen[:_COMPARED])
    if found_in_double is not None and found_in_double.shape == alone.shape:
        found_in_double = physical(found_in_double)
        apart = _largest(found_in_double, alone) / spread
        if np.all(apart < _MOST_NOISE):
            double, noise = found_in_double, apart
    of_original, of_import = (
        np.maximum(TOLERANCES[p], rounding_bound(noise, p)) for p in ("single", emulator.precision)
    )
    found = _difference(alone, together[: len(alone)], spread, of_original)
    if found is not None:
        raise _refusal(emulator, found, "an operation of the original mixes columns")
    source = reference.outputs_of_source(seen[:_COMPARED])
    if source is not None:
        # Both may be in single precision, and differ by what that gives.
        found = _difference(physical(source), double, spread, 2.0 * of_original)
        if found is not None:
            raise _refusal(emulator, found, "its ONNX form does; export it to ONNX")
    found = _difference(emulator.predict(x[:_COMPARED]), double, spread, of_import)
    if found is not None:
        in_double = exact().predict(x[:_COMPARED])
        if _difference(in_double, double, spread, of_import) is None:
            raise _refusal(
                emulator,
                found,
                "the weights need more than single precision: give --precision double",
            )
        raise _refusal(
            emulator,
            found,
            "it does so in double precision too, so emufort computes an operation in another way "
            "than ONNX Runtime; report it with the model",
        )
    return together


def _without_subnormal(emulator: Emulator, y: Array) -> Array:
    """Return outputs (n, n_outputs) with 0 for numbers that single precision hardly holds.

    Those of a softmax, for example. Where the contract has a transform, 0 would be outside of it.
    """
    plain = [column.transform == "none" for column in emulator.contract.output_columns]
    found: Array = np.where((np.abs(y) < _SMALLEST) & plain, 0.0, y)
    return found


def _check_outputs(emulator: Emulator, outputs: Array) -> None:
    """Check that outputs (n, n_outputs) can be compared, and a bundle can be made of them."""
    invalid = np.logical_not(np.isfinite(outputs)).sum(axis=0)
    worst = int(np.argmax(invalid))
    if invalid[worst]:
        raise ImportRefusedError(
            f"the output '{emulator.contract.output_columns[worst].name}' of the original is NaN "
            f"or infinite for {invalid[worst]} of {len(outputs)} samples; give inputs for which it "
            "is finite as the example, or a contract with ranges of the inputs"
        )
    if np.all(np.ptp(outputs, axis=0) == 0.0):
        raise ImportRefusedError(
            "the outputs of the original are the same for all samples; give inputs for which they "
            "vary as the example, or a contract with ranges of the inputs"
        )


def _spread(y: Array) -> Array:
    """Return the size of each output (n, n_outputs) that differences are compared with.

    A difference of the smallest normal number of single precision is one of rounding.
    """
    largest = np.abs(y).max(axis=0)
    size = np.where(largest > 0.0, largest, 1.0)
    # The squares of large numbers would overflow.
    spread = np.maximum((y / size).std(axis=0), 1e-3) * size
    found: Array = np.maximum(spread, _SMALLEST / TOLERANCES["single"])
    return found


def _largest(found: Array, wanted: Array) -> Array:
    """Return the largest difference of each output, infinite where only one is a number."""
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.where(same, 0.0, np.abs(found - wanted))
    largest: Array = np.where(np.isnan(apart), np.inf, apart).max(axis=0, initial=0.0)
    return largest


def _difference(
    found: Array, wanted: Array, spread: Array, allowed: Array
) -> tuple[int, float] | None:
    """Return the output that differs most and by how much; None if all agree."""
    difference = _largest(found, wanted) / spread
    if np.all(difference <= allowed):
        return None
    worst = int(np.argmax(difference / allowed))
    return worst, float(difference[worst])


def _refusal(emulator: Emulator, found: tuple[int, float], reason: str) -> ImportRefusedError:
    name, (column, difference) = emulator.contract.output_columns, found
    how = f"differs by {difference:.2g} of its spread"
    if not np.isfinite(difference):
        how = "is NaN or infinite for one of the two only"
    return ImportRefusedError(
        f"the imported network does not reproduce the original: the output '{name[column].name}' "
        f"{how}; {reason}"
    )
