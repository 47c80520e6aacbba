"""The process for emufort: heads, classical scheme, contract, host glue and label maker.

The entry point in pyproject.toml names `PROCESS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from emufort.processes import Head, HostGlue, Process, TimingSource
from two_stream import delta_eddington
from two_stream.head import fluxes_as_given, layer_fluxes

if TYPE_CHECKING:
    import xarray as xr

_FOLDER = Path(__file__).parent


def _make_labels(samples: int, seed: int, advance: Callable[[int], object]) -> xr.Dataset:
    # Imported on use, because a process is loaded often, and xarray and scipy are slow to import.
    from two_stream.dataset import make_dataset

    return make_dataset(samples, seed, advance)


def _fortran(*names: str) -> list[Path]:
    return [_FOLDER / "fortran" / f"{name}.F90" for name in names]


PROCESS = Process(
    name="two_stream",
    heads={
        "layer_fluxes": Head(
            layer_fluxes,
            outputs=("absorptance", "reflected_share"),
            gives={"flux": "flux"},
            fortran=lambda contract: _fortran("two_stream_fluxes"),
        ),
        "fluxes_as_given": Head(fluxes_as_given, outputs=("flux",), gives={"flux": "flux"}),
    },
    timing_sources={
        "delta_eddington": TimingSource(
            sources=lambda contract: _fortran("two_stream_delta_eddington", "time_delta_eddington"),
            reference=lambda contract, features: delta_eddington.layer_fluxes(*features.T),
            takes_ncol=True,
        )
    },
    contracts=_FOLDER / "contracts",
    host=HostGlue(
        sources=lambda contract: _fortran("two_stream_delta_eddington"),
        example=lambda contract: _FOLDER / "fortran" / "example_host.F90",
    ),
    label_makers={"layer": _make_labels},
)
