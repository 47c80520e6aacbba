"""The command that imports a network which was trained elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emufort.cli.options import ContractName, PrecisionName, WeightsPlace


def import_model(
    model: Annotated[
        Path,
        typer.Argument(
            help="Network to import: .onnx, .pt2 of torch.export, .keras, or .nc of RTE-RRTMGP-NN "
            "or of MOM6."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle.")],
    contract: ContractName = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the Fortran module; default: that of the contract or file."),
    ] = None,
    precision: PrecisionName = None,
    weights: WeightsPlace = None,
) -> None:
    """Import a network that was trained elsewhere, and write its bundle.

    Nothing in a file is executed. Scalers in the network stay. Without a contract, names and shapes
    come from the network. The network in the bundle is compared with the original before anything
    is written.
    """
    from emufort.api import import_network
    from emufort.config import Config

    given = {"precision": precision, "weights": weights}
    export = Config.from_dict(
        {"export": {key: value for key, value in given.items() if value is not None}},
        "command line",
    ).export
    bundle = import_network(
        model, out, contract, name, precision=export.precision or "single", weights=export.weights
    )
    found = bundle.manifest.architecture
    of_contract = bundle.manifest.contract
    typer.echo(
        f"{bundle.path}: {found.label}; {len(of_contract.input_columns)} inputs, "
        f"{len(of_contract.output_columns)} outputs, {found.n_parameters} parameters"
    )
    typer.echo(f"next: emufort verify --bundle {bundle.path}")
