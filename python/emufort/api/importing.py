"""The import of a network that was trained elsewhere, as a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emufort.api.arguments import section
from emufort.config import DEFAULTS, ExportConfig
from emufort.config.deployment import Placement
from emufort.contract import Contract
from emufort.export.bundle import Bundle
from emufort.network.precision import Precision
from emufort.paths import PathLike

if TYPE_CHECKING:
    import onnx

    from emufort.importing.sources.source import Example


def import_network(
    model: PathLike | onnx.ModelProto | Any,
    out: PathLike,
    contract: PathLike | Contract | None = None,
    name: str | None = None,
    example: Example | None = None,
    golden: int = DEFAULTS.export.golden,
    precision: Precision = "single",
    weights: Placement = DEFAULTS.export.weights,
) -> Bundle:
    """Import a trained network and write its bundle; an existing bundle is replaced as a whole.

    The bundle is like any other: ONNX, Fortran, golden vectors, manifest, model card. Scalers in
    the network stay; the transforms of the contract are put around it. The network in the bundle is
    compared with the original before anything is written.

    Parameters
    ----------
    model : path, or object of ONNX, torch, Keras or scikit-learn
        Path of a file, onnx.ModelProto, torch.nn.Module, torch.export.ExportedProgram, keras.Model
        or fitted regressor of scikit-learn. Files are .onnx (operators of opset 11 or newer), .pt2
        of ``torch.export.save``, .keras of Keras 3, and .nc of RTE-RRTMGP-NN or of MOM_ANN of MOM6;
        nothing in a file is executed. The first dimension of inputs and outputs is that of columns.
        Networks of torch need the package onnxscript, estimators the package skl2onnx.
    out : path
        Folder of the bundle.
    contract : path or Contract, default None
        Contract with the variables in the order of the network; None: derived from the names and
        shapes of the graph, with the units "1" and without ranges.
    name : str, default None
        Name of the emulator; None: that of the file or of the contract. The Fortran module is
        ``<name>_emulator``.
    example : array, tuple of arrays or mapping of names to arrays, default None
        Inputs (n, ...) in the units of the contract, for golden vectors and the comparison with the
        original: one array, or one for each input, in order or by name. A module of torch needs it.
        None: random samples within the ranges of the contract, or around the mean with which the
        network scales its inputs.
    golden : int, default 64
        Number of golden vectors.
    precision : {"single", "double"}, default "single"
        Precision in which Fortran and ONNX compute the network, and of its weights. In double
        precision, weights of a network in double precision keep all their digits.
    weights : {"module", "file"}, default "module"
        Whether the generated Fortran module holds the network, or loads ``weights.bin``.

    Returns
    -------
    Bundle
        The bundle.

    Raises
    ------
    ImportRefusedError
        An operation cannot be imported, or the contract does not fit. Nothing is written.
    ContractError, UsageError, EmufortError
        The contract is not valid, or the bundle cannot be written.
    """
    options = section(ExportConfig, name=name, golden=golden, precision=precision, weights=weights)
    # ONNX and scipy take long to import.
    from emufort.importing.importer import import_model

    return import_model(
        model,
        out,
        contract,
        options.name,
        example,
        options.golden,
        options.precision or "single",
        options.weights,
    )
