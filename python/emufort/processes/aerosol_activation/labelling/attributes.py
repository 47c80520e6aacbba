"""The attributes of the data set: what each variable is, and how the file was made."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import netCDF4
import numpy as np
import scipy

from emufort import __version__
from emufort.dataset.splits import SPLITS
from emufort.processes.aerosol_activation.constants import CONSTANTS
from emufort.processes.aerosol_activation.labelling.inputs import range_table
from emufort.processes.aerosol_activation.labelling.recipe import Recipe
from emufort.processes.aerosol_activation.labelling.sampling import SAMPLER, split_seed
from emufort.processes.aerosol_activation.parcel_model import compiler, source_hash

_LABEL_COMMENT = "missing where status is not peak"

#: units, standard_name (only names of the CF table), long_name, further attributes
ATTRIBUTES: dict[str, dict[str, str]] = {
    "air_temperature": {
        "units": "K",
        "standard_name": "air_temperature",
        "long_name": "air temperature at the start of the ascent",
    },
    "air_pressure": {
        "units": "Pa",
        "standard_name": "air_pressure",
        "long_name": "air pressure at the start of the ascent",
    },
    "updraft_speed": {
        "units": "m s-1",
        "standard_name": "upward_air_velocity",
        "long_name": "speed of the updraft",
    },
    "number_concentration": {
        "units": "m-3",
        "standard_name": "number_concentration_of_ambient_aerosol_particles_in_air",
        "long_name": "number concentration of the aerosol mode",
    },
    "dry_median_radius": {
        "units": "m",
        "long_name": "number-median dry radius of the aerosol mode",
    },
    "hygroscopicity": {"units": "1", "long_name": "hygroscopicity kappa of the aerosol mode"},
    "max_supersaturation": {
        "units": "1",
        "long_name": "maximum supersaturation over liquid water of the ascending parcel",
        "comment": _LABEL_COMMENT,
    },
    "number_activated_fraction": {
        "units": "1",
        "long_name": "fraction of the number of the mode that activates at max_supersaturation",
        "comment": "lognormal formula on max_supersaturation at air_temperature; " + _LABEL_COMMENT,
    },
    "mass_activated_fraction": {
        "units": "1",
        "long_name": "fraction of the mass of the mode that activates at max_supersaturation",
        "comment": "lognormal formula on max_supersaturation at air_temperature; " + _LABEL_COMMENT,
    },
    "smax_arg2000": {
        "units": "1",
        "long_name": "maximum supersaturation by Abdul-Razzak and Ghan (2000)",
        "comment": "given for every status",
    },
    "smax_mbn2014": {
        "units": "1",
        "long_name": "maximum supersaturation by Morales Betancourt and Nenes (2014)",
        "comment": "given for every status; the scheme searches 1e-5 to 0.5",
    },
    "smax_ghosh2025": {
        "units": "1",
        "long_name": "maximum supersaturation by Ghosh et al. (2025)",
        "comment": "given for every status; the constants depend on the width of the accumulation "
        "mode",
    },
    "temperature_at_smax": {
        "units": "K",
        "long_name": "air temperature at the maximum supersaturation",
        "comment": _LABEL_COMMENT,
    },
    "height_of_smax": {
        "units": "m",
        "long_name": "height of the maximum supersaturation above the start",
        "comment": _LABEL_COMMENT,
    },
    "time_of_smax": {
        "units": "s",
        "long_name": "time of the maximum supersaturation after the start",
        "comment": _LABEL_COMMENT,
    },
}

STATUS_COMMENT = (
    "peak: the supersaturation passed a maximum above zero; no_peak: it still rose at the top of "
    "the ascent; "
    "never_supersaturated: it stayed at or below zero; solver_failure: the solver gave up. "
    "Labels exist for peak only; every sample that was drawn is in the file."
)


def global_attributes(recipe: Recipe) -> dict[str, Any]:
    """Return the global attributes: everything that is needed to make the file again."""
    options, preset = recipe.options, recipe.preset
    constants = asdict(preset.physical_constants())
    return {
        "Conventions": "CF-1.11",
        "title": "Maximum supersaturation and activated aerosol fractions of adiabatic cloud "
        "parcels",
        "institution": "emufort",
        "source": "adiabatic parcel model with kappa-Koehler aerosol in moving sectional bins, "
        f"equations of pyrcel 2.0, modes and constants of the preset {preset.name}",
        "references": "Rothenberg and Wang (2016), doi:10.1175/JAS-D-15-0223.1; Petters and "
        "Kreidenweis (2007), "
        "doi:10.5194/acp-7-1961-2007; Abdul-Razzak and Ghan (2000), doi:10.1029/1999JD901161; "
        "Morales Betancourt and "
        "Nenes (2014), doi:10.5194/gmd-7-2345-2014; Ghosh et al. (2025), "
        "doi:10.5194/gmd-18-4899-2025",
        "history": f"emufort {__version__}: preset {preset.name}, {recipe.train} training, "
        f"{recipe.validation} validation and {recipe.test} test samples, seed {recipe.seed}",
        "license": "CC0-1.0",
        "preset": preset.name,
        "preset_definition": json.dumps(preset.model_dump(mode="json")),
        "recipe": recipe.fingerprint(),
        "constants": "; ".join(
            f"{name} = {value:.16g} {CONSTANTS[name][1]}" for name, value in constants.items()
        ),
        "solver": "emufort parcel model, Rosenbrock RODAS4(3) with arrowhead Jacobian, real64",
        "solver_version": f"sources sha256 {source_hash()}",
        "solver_compiler": compiler().version,
        "bins_per_mode": "; ".join(f"{split}: {recipe.bins_of(split)}" for split in SPLITS),
        "bin_half_width": recipe.half_width,
        "bin_scheme": "equal width in ln radius over +-bin_half_width standard deviations, "
        "weights by the exact CDF",
        "relative_tolerance": options.relative_tolerance,
        "maximum_ascent": options.maximum_ascent,
        "peak_prominence": options.prominence,
        "maximum_steps": np.int32(options.maximum_steps),
        "sampler": "; ".join(f"{split}: {SAMPLER[split]}" for split in SPLITS),
        "seeds": "; ".join(f"{split}: {split_seed(recipe.seed, split)}" for split in SPLITS),
        "range_table": range_table(recipe.inputs),
        "software": f"numpy {np.__version__}, scipy {scipy.__version__}, netCDF4 "
        f"{netCDF4.__version__}",
        "comment": "Inputs were rounded to single precision before labelling: the stored inputs "
        "are those labelled.",
    }
