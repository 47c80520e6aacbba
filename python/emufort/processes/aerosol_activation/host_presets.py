"""The presets of aerosol activation as the rest of emufort uses them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

from emufort.processes.aerosol_activation.fortran import WIDTHS, constants_of
from emufort.processes.aerosol_activation.labels import labelled
from emufort.processes.aerosol_activation.preset import PRESETS
from emufort.processes.aerosol_activation.preset import Preset as ActivationPreset
from emufort.processes.process import Preset, Presets

#: Options of a run. A host replaces its own scheme, so the network is the most accurate one that is
#: faster. Wider networks than these are slower. Near the time of ARG2000, trainings of full length
#: of silu networks end with the lowest errors, but step 1 is too short to show it.
RUN_OPTIONS: Final = {
    "search": {"space": {"depth": (2, 3), "width": (16, 24, 32, 48, 64), "activation": ("silu",)}},
    "select": {"rule": "faster-than=ARG2000"},
}


def _read(path: Path) -> Preset:
    """Return the preset of a file; raises `UsageError` if the file is not valid."""
    found = ActivationPreset.load(path)
    contract = found.contract()

    def labels(samples: int, seed: int, report: Callable[[int, int], object]) -> Path:
        return labelled(found, samples, seed, report)

    return Preset(
        found.name,
        contract,
        labels,
        title=found.title,
        serves=found.serves,
        glue=found.glue,
        options=RUN_OPTIONS,
        facts={
            WIDTHS: {name: mode.sigma for name, mode in found.modes.items()},
            "constants": asdict(constants_of(contract)),
        },
    )


#: Presets of the process.
HOST_PRESETS = Presets(PRESETS, _read)
