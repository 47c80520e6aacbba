"""A process with everything that a package can bring: see docs/processes.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emufort.processes import Head, HostGlue, Presets, Process, TimingSource
from pond_package.data import bulk, make_labels
from pond_package.presets import read_preset

FOLDER = Path(__file__).parent
FORTRAN = FOLDER / "fortran"


def heat_loss(inputs, outputs):
    """Return the heat that each layer loses [MJ m-2], (n, layer)."""
    return {"heat": 4.2 * outputs["cooling"] * inputs["depth"]}


def bulk_reference(contract, features):
    """Return what time_bulk gives: evaporation rate and cooling, (n, 3)."""
    rate, cooling = bulk(*features.T)
    return np.column_stack([rate, cooling])


PROCESS = Process(
    name="pond",
    heads={
        "heat_loss": Head(
            heat_loss,
            inputs=("depth",),
            outputs=("cooling",),
            gives={"heat": "layer"},
            fortran=lambda contract: [FORTRAN / "pond_heat.F90"],
        )
    },
    timing_sources={
        "bulk": TimingSource(
            lambda contract: [FORTRAN / "pond_bulk.F90", FORTRAN / "time_bulk.F90"],
            bulk_reference,
            takes_ncol=True,
        )
    },
    contracts=FOLDER / "contracts",
    data=FOLDER / "data",
    host=HostGlue(
        sources=lambda contract: [FORTRAN / "pond_bulk.F90"],
        example=lambda contract: FOLDER / "host" / "pond_host.F90",
    ),
    label_makers={"shallow": make_labels},
    presets=Presets(FOLDER / "presets", read_preset),
)
