"""Write an emulator as the netCDF file that MOM6 reads (``ANN_init`` of ``MOM_ANN.F90``).

MOM6 computes dense layers with rectifiers, (x - input_means) / input_norms before them and
y output_norms + output_means after them. It reads the layer i as ``A<i>`` and ``b<i>``. When it
starts, it compares the network with the test vector ``x_test``, ``y_test`` of the file.
"""

from __future__ import annotations

import netCDF4
import numpy as np

from emufort.contract import Contract
from emufort.errors import UsageError
from emufort.network.activations import Array
from emufort.network.emulator import Emulator

#: MOM6 numbers the layers with one digit.
_MOST_LAYERS = 10


def check_mom_ann_contract(contract: Contract) -> None:
    """Check that MOM6 can compute what a contract describes.

    Raises
    ------
    UsageError
        A transform or a bound has no place in the file.
    """
    for column in (*contract.input_columns, *contract.output_columns):
        if column.transform not in ("none", "standardise", "minmax"):
            raise _refusal(
                contract,
                f"'{column.variable}' has the transform '{column.transform}'",
                "train with 'standardise'",
            )
    for output in contract.output:
        if output.relative_to is not None:
            raise _refusal(contract, f"'{output.name}' is relative to an input", "train without it")
        if output.lower_bound is not None or output.upper_bound is not None:
            raise _refusal(
                contract,
                f"'{output.name}' has a bound",
                "remove lower_bound and upper_bound, and limit the result in MOM6",
            )
    if len(contract.feature_indices) != len(contract.input_columns):
        raise _refusal(contract, "an input has feature = false", "remove it")


def mom_ann_file(emulator: Emulator, x: Array) -> bytes:
    """Return the content of the file.

    Parameters
    ----------
    emulator
        The emulator.
    x
        Inputs of the test vector, (n_inputs,), within the ranges of the contract.

    Raises
    ------
    UsageError
        The emulator has an operation, a transform or a bound that MOM6 does not have.
    """
    check_mom_ann_contract(emulator.contract)
    layers = _layers(emulator)
    sizes = [layers[0][0].shape[1], *(len(bias) for _, bias in layers)]
    before, after = emulator.input_scaler, emulator.output_scaler
    if not {*before.kinds, *after.kinds} <= {"affine", "constant"}:
        raise _refusal(emulator.contract, "it has a transform", "train with 'standardise'")
    # An input that was constant in training has the scale 0: the network does not see it.
    used = before.scale != 0.0
    layers[0] = (np.where(used, layers[0][0], 0.0), layers[0][1])
    file = netCDF4.Dataset("mom_ann.nc", "w", memory=1024)
    file.setncatts(
        {
            "title": f"Emulator '{emulator.contract.name}' for MOM_ANN of MOM6",
            "inputs": ", ".join(_labels(emulator.contract, is_input=True)),
            "outputs": ", ".join(_labels(emulator.contract, is_input=False)),
            "comment": "MOM6 does not check the ranges of the inputs.",
        }
    )
    file.createDimension("one", 1)
    file.createDimension("nlayers", len(sizes))
    file.createVariable("num_layers", "i4", ("one",))[:] = len(sizes)
    file.createVariable("layer_sizes", "i4", ("nlayers",))[:] = sizes
    for number, (weight, bias) in enumerate(layers):
        # Fortran reads A(n_out, n_in): its first index varies fastest.
        names = (f"ncol{number}", f"nrow{number}")
        for name, size in zip(names, reversed(weight.shape), strict=True):
            file.createDimension(name, size)
        file.createVariable(f"A{number}", "f8", names)[:] = weight.T
        file.createVariable(f"b{number}", "f8", names[1:])[:] = bias
    first, last = "ncol0", f"nrow{len(layers) - 1}"
    for name, dimension, values in (
        ("input_means", first, before.shift),
        ("input_norms", first, 1.0 / np.where(used, before.scale, 1.0)),
        ("output_means", last, after.shift),
        ("output_norms", last, 1.0 / np.where(after.scale == 0.0, 1.0, after.scale)),
        ("x_test", first, x),
        ("y_test", last, emulator.predict(x[None])[0]),
    ):
        file.createVariable(name, "f8", (dimension,))[:] = values
    return bytes(file.close())


def _layers(emulator: Emulator) -> list[tuple[Array, Array]]:
    """Return weight (n_out, n_in) and bias (n_out,) of every layer, in double precision."""
    plan, contract = emulator.plan, emulator.contract
    found, value = [], plan.features
    for number, operation in enumerate(plan.operations):
        is_last = number == len(plan.operations) - 1
        wanted = "linear" if is_last else "relu"
        shape = (plan.sizes[operation.output], plan.sizes[value])
        is_chained = operation.kind == "dense" and operation.inputs == (value,)
        parameters = [emulator.parameters[name] for name in operation.parameters]
        if not is_chained or parameters[0].shape != shape:
            raise _refusal(contract, "its network is not a chain of dense layers", "train an MLP")
        if operation.activation != wanted:
            raise _refusal(
                contract,
                f"its layer {number + 1} has the activation function '{operation.activation}', and "
                f"MOM6 has '{wanted}' there",
                "train with space.activation = ['relu']",
            )
        found.append((parameters[0].astype(np.float64), parameters[1].astype(np.float64)))
        value = operation.output
    if len(found) > _MOST_LAYERS:
        raise _refusal(contract, f"it has {len(found)} layers", f"MOM6 reads {_MOST_LAYERS}")
    # Outputs that did not vary in training are not in the network.
    varying, n = list(emulator.output_scaler.varying), len(contract.output_columns)
    weight, bias = found[-1]
    whole, shift = np.zeros((n, weight.shape[1])), np.zeros(n)
    whole[varying], shift[varying] = weight, bias
    return [*found[:-1], (whole, shift)]


def _labels(contract: Contract, is_input: bool) -> list[str]:
    columns = contract.input_columns if is_input else contract.output_columns
    return [f"{column.name} ({column.units})" for column in columns]


def _refusal(contract: Contract, reason: str, remedy: str) -> UsageError:
    return UsageError(f"MOM_ANN of MOM6 cannot compute '{contract.name}': {reason}; {remedy}")
