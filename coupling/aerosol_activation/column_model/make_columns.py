"""Write the input of the column model: columns between clean ocean and polluted land.

python make_columns.py columns.nc --bundle runs/e3sm_mam5/bundle --columns 64 --levels 12 --seed 1

The columns have the aerosol modes of the contract of the bundle, or of the contract `activation`.
Number, size and hygroscopicity of each mode lie within the range of the contract.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import netCDF4
import numpy as np
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.export import Bundle
from emufort.processes.aerosol_activation.fortran import scheme_contract

Array = NDArray[np.float64]

#: Share of the logarithm of the range that the columns use, from the lower to the upper limit. The
#: number concentration grows from clean to polluted air in all modes together.
NUMBER = (0.35, 0.88)
RADIUS = (0.2, 0.85)
KAPPA = (0.2, 0.9)


def limits(contract: Contract, name: str, share: tuple[float, float]) -> Array:
    """Return the values at two shares of the range of an input (mode, 2)."""
    found = [
        [column.lower * (column.upper / column.lower) ** part for part in share]
        for column in contract.input_columns
        if column.variable == name
    ]
    return np.array(found)


def write(
    path: str, contract: Contract, n_columns: int, n_levels: int, seed: int, outside: float
) -> None:
    """Write the file. A share `outside` of the columns is too cold for the emulator."""
    rng = np.random.default_rng(seed)
    clean, polluted = limits(contract, "number_concentration", NUMBER).T
    n_modes = clean.size
    level = np.linspace(0.0, 1.0, n_levels)[None, :]
    surface = rng.uniform(278.0, 303.0, (n_columns, 1))
    coldest = contract.input_columns[0].lower
    surface[rng.random(n_columns) < outside] = coldest - 3.0
    pressure = 9.5e4 - level * rng.uniform(2e4, 3.5e4, (n_columns, 1))
    temperature = surface * (pressure / 9.5e4) ** 0.19
    thickness = np.broadcast_to(rng.uniform(80.0, 150.0, (n_columns, 1)), pressure.shape)
    liquid = 5e-4 * rng.random((n_columns, 1)) * (0.2 + level)
    updraft = np.exp(rng.uniform(np.log(0.06), np.log(1.5), (n_columns, 1))) * (0.7 + 0.6 * level)
    pollution = rng.random((n_columns, 1, 1))
    noise = np.exp(rng.normal(0.0, 0.3, (n_columns, 1, n_modes)))
    number = clean * (polluted / clean) ** pollution * noise
    number = number * np.exp(-0.5 * level)[:, :, None]

    def between(ends: Array) -> Array:
        u = rng.random((n_columns, 1, n_modes))
        values = ends[:, 0] * (ends[:, 1] / ends[:, 0]) ** u
        return np.broadcast_to(values, number.shape)

    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("column", n_columns), ("level", n_levels), ("mode", n_modes)):
            file.createDimension(name, size)
        file.Conventions = "CF-1.11"
        file.title = f"Columns for the emufort column model, contract {contract.name}"
        file.history = f"make_columns.py --columns {n_columns} --levels {n_levels} --seed {seed}"

        def put(name: str, units: str, values: Array) -> None:
            dimensions = ("mode", "level", "column")[3 - values.ndim :]
            variable = file.createVariable(name, "f8", dimensions)
            variable.units = units
            variable.long_name = name.replace("_", " ")
            variable[:] = values.T

        put("air_temperature", "K", temperature)
        put("air_pressure", "Pa", pressure)
        put("layer_thickness", "m", thickness)
        put("liquid_water_content", "kg m-3", liquid)
        put("updraft_speed", "m s-1", updraft)
        put("updraft_variation", "1", rng.uniform(0.1, 0.9, n_columns))
        put("updraft_period", "s", rng.uniform(7200.0, 43200.0, n_columns))
        put("updraft_phase", "rad", rng.uniform(0.0, 2.0 * np.pi, n_columns))
        put("number_concentration", "m-3", number)
        put("dry_median_radius", "m", between(limits(contract, "dry_median_radius", RADIUS)))
        put("hygroscopicity", "1", between(limits(contract, "hygroscopicity", KAPPA)))


def main() -> None:
    """Read the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path")
    parser.add_argument("--bundle", type=Path, help="bundle whose contract has the modes")
    parser.add_argument("--columns", type=int, default=64)
    parser.add_argument("--levels", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--outside",
        type=float,
        default=0.05,
        help="share of columns that are too cold for the emulator",
    )
    arguments = parser.parse_args()
    contract = scheme_contract()
    if arguments.bundle:
        contract = Bundle.open(arguments.bundle).manifest.contract
    write(
        arguments.path,
        contract,
        arguments.columns,
        arguments.levels,
        arguments.seed,
        arguments.outside,
    )


if __name__ == "__main__":
    main()
