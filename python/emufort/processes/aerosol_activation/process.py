"""Aerosol activation as a registered process; the rest of emufort uses only this object."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from emufort.processes.aerosol_activation import baseline_programs as programs
from emufort.processes.aerosol_activation.fortran import CONTRACTS
from emufort.processes.aerosol_activation.head import (
    REQUIRED,
    activated_fractions_of_smax,
    call_of_head,
    fortran_of_head,
    generated_for_call,
    reference_of_call,
)
from emufort.processes.aerosol_activation.host import HOST_GLUE
from emufort.processes.aerosol_activation.host_presets import HOST_PRESETS
from emufort.processes.aerosol_activation.labels import make_labels
from emufort.processes.process import Head, Process, TimingSource

PROCESS = Process(
    name="aerosol_activation",
    heads={
        "activated_fractions": Head(
            activated_fractions_of_smax,
            inputs=REQUIRED,
            outputs=("max_supersaturation",),
            gives={"number_activated_fraction": "mode", "mass_activated_fraction": "mode"},
            fortran=fortran_of_head,
            call=call_of_head,
            generated=generated_for_call,
            call_reference=reference_of_call,
        )
    },
    timing_sources={
        "arg2000": TimingSource(
            programs.arg2000_sources,
            programs.arg2000_reference,
            programs.arg2000_call_reference,
            generated=programs.generated_for,
        )
    },
    contracts=CONTRACTS,
    data=Path(str(resources.files("emufort"))) / "data",
    host=HOST_GLUE,
    label_makers=dict.fromkeys(
        ("activation", "activation_fractions", "activation_ratio"), make_labels
    ),
    presets=HOST_PRESETS,
    former_names={
        "emufort.activation.head:activated_fractions": "activated_fractions",
        "emufort.activation.timing:arg2000_sources": "arg2000",
    },
)
