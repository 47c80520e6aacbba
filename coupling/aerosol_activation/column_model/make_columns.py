"""Write the input of the column model: columns between clean ocean and polluted land.

python make_columns.py columns.nc --columns 64 --levels 12 --seed 1
"""

from __future__ import annotations

import argparse

import netCDF4
import numpy as np

#: Number [m-3] of accumulation, aitken, coarse, primary carbon in clean and in polluted air.
CLEAN = np.array([3e7, 5e7, 3e5, 1e5])
POLLUTED = np.array([3e9, 5e9, 2e6, 2e9])
#: Number-median dry radius [m], smallest and largest.
RADIUS = np.array([[4e-8, 9e-8], [8e-9, 2.2e-8], [6e-7, 1.6e-6], [1e-8, 4e-8]])
#: Hygroscopicity [1], smallest and largest.
KAPPA = np.array([[0.1, 0.9], [0.1, 0.7], [0.1, 1.1], [2e-3, 0.1]])


def write(path: str, n_columns: int, n_levels: int, seed: int, outside: float) -> None:
    """Write the file. A share `outside` of the columns is too cold for the emulator."""
    rng = np.random.default_rng(seed)
    level = np.linspace(0.0, 1.0, n_levels)[None, :]
    surface = rng.uniform(278.0, 303.0, (n_columns, 1))
    surface[rng.random(n_columns) < outside] = 245.0
    pressure = 9.5e4 - level * rng.uniform(2e4, 3.5e4, (n_columns, 1))
    temperature = surface * (pressure / 9.5e4) ** 0.19
    thickness = np.broadcast_to(rng.uniform(80.0, 150.0, (n_columns, 1)), pressure.shape)
    liquid = 5e-4 * rng.random((n_columns, 1)) * (0.2 + level)
    updraft = np.exp(rng.uniform(np.log(0.06), np.log(1.5), (n_columns, 1))) * (0.7 + 0.6 * level)
    pollution = rng.random((n_columns, 1, 1))
    noise = np.exp(rng.normal(0.0, 0.3, (n_columns, 1, 4)))
    number = CLEAN * (POLLUTED / CLEAN) ** pollution * noise
    number = number * np.exp(-0.5 * level)[:, :, None]

    def between(limits: np.ndarray) -> np.ndarray:
        u = rng.random((n_columns, 1, 4))
        values = limits[:, 0] * (limits[:, 1] / limits[:, 0]) ** u
        return np.broadcast_to(values, number.shape)

    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("column", n_columns), ("level", n_levels), ("mode", 4)):
            file.createDimension(name, size)
        file.Conventions = "CF-1.11"
        file.title = "Columns for the emufort column model"
        file.history = f"make_columns.py --columns {n_columns} --levels {n_levels} --seed {seed}"

        def put(name: str, units: str, values: np.ndarray) -> None:
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
        put("dry_median_radius", "m", between(RADIUS))
        put("hygroscopicity", "1", between(KAPPA))


def main() -> None:
    """Read the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path")
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
    write(arguments.path, arguments.columns, arguments.levels, arguments.seed, arguments.outside)


if __name__ == "__main__":
    main()
