"""Aerosol activation as a registered process: its head, its timed scheme and its contracts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emufort.processes import Head, Process, TimingSource
from emufort.processes.aerosol_activation import baseline_programs as timing
from emufort.processes.aerosol_activation.head import (
    REQUIRED,
    activated_fractions,
    activated_fractions_call_reference,
    activated_fractions_call_sources,
)

Array = NDArray[np.float64]


def _fractions(inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> dict[str, Array]:
    return activated_fractions(inputs, outputs["max_supersaturation"])


PROCESS = Process(
    name="aerosol_activation",
    heads={
        "activated_fractions": Head(
            _fractions,
            inputs=REQUIRED,
            outputs=("max_supersaturation",),
            gives=("number_activated_fraction", "mass_activated_fraction"),
            call_sources=activated_fractions_call_sources,
            call_reference=activated_fractions_call_reference,
        )
    },
    timing_sources={
        "arg2000": TimingSource(
            timing.arg2000_sources, timing.arg2000_reference, timing.arg2000_call_reference
        )
    },
    contracts=Path(__file__).parent / "contracts",
)
