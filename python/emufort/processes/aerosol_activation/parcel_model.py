"""Call the Fortran parcel model from Python.

A Fortran compiler builds the shared library on first use, in the cache folder of the user. It is
built again if sources, flags, compiler or processor change.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emufort.errors import EmufortError
from emufort.paths import cache_folder
from emufort.processes.aerosol_activation.constants import PYRCEL, PhysicalConstants
from emufort.toolchain.compiler import Compiler, CompilerMissing
from emufort.toolchain.flags import DEFAULT_COMPILER, PARCEL_MODEL_FLAGS
from emufort.toolchain.sources import dependencies, in_order, shipped_folder

#: Outcomes of a solve; the position is the flag value.
STATUS_MEANINGS = ("peak", "no_peak", "never_supersaturated", "solver_failure")
STATUS_PEAK, STATUS_NO_PEAK, STATUS_NEVER_SUPERSATURATED, STATUS_SOLVER_FAILURE = range(4)

_LIBRARY = "libemufort_parcel_model.so"
_PARCEL_VARIABLES = ("air_temperature", "air_pressure", "updraft_speed")
_MODE_VARIABLES = ("number_concentration", "dry_median_radius", "hygroscopicity")

_double = ctypes.POINTER(ctypes.c_double)
_int = ctypes.POINTER(ctypes.c_int)


@dataclass(frozen=True)
class ParcelOptions:
    """Numerical options of the parcel model. The data set records all of them.

    Attributes
    ----------
    relative_tolerance : float
        Relative local error of one step [1].
    maximum_ascent : float
        Height above the start at which the ascent ends [m].
    prominence : float
        Relative decrease of the supersaturation below a maximum that confirms the maximum [1]. With
        0 the first maximum is taken, as in pyrcel.
    maximum_steps : int
        Largest number of trial steps; after more steps the solve fails.
    """

    relative_tolerance: float = 1e-5
    maximum_ascent: float = 3000.0
    prominence: float = 0.01
    maximum_steps: int = 5000


@dataclass(frozen=True)
class ParcelResult:
    """Results of a batch, one value per sample.

    Attributes
    ----------
    max_supersaturation, temperature_at_smax, height_of_smax, time_of_smax : ndarray, shape (n,),
    float64
        Maximum supersaturation [1], and air temperature [K], height above the start [m] and time
        [s] at the maximum. If the status is not `peak`, the values are those at the highest
        supersaturation of the ascent.
    status : ndarray, shape (n,), int32
        Index into `STATUS_MEANINGS`.
    steps : ndarray, shape (n,), int32
        Trial steps of the solver.
    """

    max_supersaturation: NDArray[np.float64]
    temperature_at_smax: NDArray[np.float64]
    height_of_smax: NDArray[np.float64]
    time_of_smax: NDArray[np.float64]
    status: NDArray[np.int32]
    steps: NDArray[np.int32]


def source_files() -> list[Path]:
    """Return the Fortran sources of the parcel model in the order of compilation."""
    paths = sorted(shipped_folder("data_prep/src").glob("*.f90"))
    needed = dependencies({path: path.read_text(encoding="utf-8") for path in paths})
    return in_order(needed, paths)


def source_hash() -> str:
    """Return the SHA-256 of the names and contents of the sources of the parcel model."""
    digest = hashlib.sha256()
    for path in source_files():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def compiler() -> Compiler:
    """Return the Fortran compiler that the environment variable FC names, else gfortran.

    Raises
    ------
    EmufortError
        There is no such compiler, or it does not run.
    """
    name = os.environ.get("FC") or DEFAULT_COMPILER
    try:
        return Compiler.find(name)
    except CompilerMissing as error:
        raise EmufortError(
            f"labels are made by a parcel model in Fortran, and there is no working compiler "
            f"'{name}'; install gfortran, or set the environment variable FC to another one"
        ) from error


def build(cache: Path | None = None) -> Path:
    """Compile the parcel model if needed.

    Parameters
    ----------
    cache : Path, optional
        Folder of the library; default: the cache folder of the user.

    Returns
    -------
    Path
        The shared library.

    Raises
    ------
    EmufortError
        There is no compiler, or the compilation fails.
    """
    found, sources = compiler(), source_files()
    flags = found.accepted(PARCEL_MODEL_FLAGS)
    folder = f"parcel_model_{found.key(sources, flags, shared=True)[:16]}"
    return found.build(sources, flags, (cache or cache_folder()) / folder / _LIBRARY, shared=True)


@lru_cache(maxsize=1)
def _built() -> Path:
    return build()


@lru_cache
def _loaded(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    c_int, c_double = ctypes.c_int, ctypes.c_double
    library.emufort_parcel_modes.argtypes = [c_int] * 3 + [c_double] + [_double] * 10 + [_int] * 2
    library.emufort_parcel_cells.argtypes = [c_int] * 2 + [_double] * 9 + [_int] * 2
    for function in (library.emufort_parcel_modes, library.emufort_parcel_cells):
        function.restype = c_int
    return library


def _real(name: str, value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    array = np.ascontiguousarray(value, dtype=np.float64)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    return array


def _pointer(array: NDArray[np.float64]) -> ctypes._Pointer[ctypes.c_double]:
    return array.ctypes.data_as(_double)


def _settings(
    constants: PhysicalConstants, options: ParcelOptions | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return constants and options in the order of the Fortran side, shapes (7,) and (5,)."""
    c = constants
    return (
        np.array(
            [
                *(c.gravity, c.gas_constant_air, c.gas_constant_vapour, c.heat_capacity_air),
                *(c.latent_heat, c.density_water, c.accommodation_coefficient),
            ]
        ),
        np.array([c.initial_supersaturation, *map(float, astuple(options or ParcelOptions()))]),
    )


def _finish(
    error: int, results: NDArray[np.float64], status: NDArray[np.int32], steps: NDArray[np.int32]
) -> ParcelResult:
    if error != 0:
        raise MemoryError("the parcel model could not allocate its workspace")
    smax, temperature, height, time = (results[:, k].copy() for k in range(4))
    return ParcelResult(smax, temperature, height, time, status, steps)


def solve_modes(
    columns: Mapping[str, ArrayLike],
    geometric_standard_deviation: ArrayLike,
    *,
    bins: int = 40,
    half_width: float = 5.0,
    constants: PhysicalConstants = PYRCEL,
    options: ParcelOptions | None = None,
    library: Path | None = None,
) -> ParcelResult:
    """Compute the maximum supersaturation of samples of lognormal modes.

    Parameters
    ----------
    columns : mapping of str to array_like
        Inputs by their names in the contract: `air_temperature` [K], `air_pressure` [Pa],
        `updraft_speed` [m s-1] of shape (n,), `number_concentration` [m-3], `dry_median_radius`
        [m], `hygroscopicity` [1] of shape (n, mode). Other names are ignored.
    geometric_standard_deviation : array_like, shape (mode,)
        Geometric standard deviations of the modes [1].
    bins : int
        Cells per mode.
    half_width : float
        Half width of the range of cells of a mode [standard deviations of ln radius].
    constants : PhysicalConstants
        Constants of the host.
    options : ParcelOptions, optional
        Numerical options.
    library : Path, optional
        The result of `build`; default: the library is built if needed.

    Returns
    -------
    ParcelResult
        One value per sample.

    Raises
    ------
    ValueError
        The shapes do not agree, or `bins` is below 1.
    EmufortError
        The parcel model cannot be compiled.
    """
    sigma = np.ascontiguousarray(geometric_standard_deviation, dtype=np.float64)
    n, modes = np.size(columns["air_temperature"]), sigma.size
    if bins < 1:
        raise ValueError(f"bins is {bins}, must be at least 1")
    parcel = [_real(name, columns[name], (n,)) for name in _PARCEL_VARIABLES]
    aerosol = [_real(name, columns[name], (n, modes)) for name in _MODE_VARIABLES]
    settings = _settings(constants, options)
    results, status, steps = np.zeros((n, 4)), np.zeros(n, np.int32), np.zeros(n, np.int32)
    error = _loaded(library or _built()).emufort_parcel_modes(
        n,
        modes,
        bins,
        half_width,
        *map(_pointer, settings),
        _pointer(sigma),
        *map(_pointer, [*parcel, *aerosol]),
        _pointer(results),
        status.ctypes.data_as(_int),
        steps.ctypes.data_as(_int),
    )
    return _finish(error, results, status, steps)


def solve_cells(
    air_temperature: ArrayLike,
    air_pressure: ArrayLike,
    updraft_speed: ArrayLike,
    dry_radius: ArrayLike,
    number: ArrayLike,
    hygroscopicity: ArrayLike,
    *,
    constants: PhysicalConstants = PYRCEL,
    options: ParcelOptions | None = None,
) -> ParcelResult:
    """Compute the maximum supersaturation of samples with given cells of identical particles.

    Parameters
    ----------
    air_temperature, air_pressure, updraft_speed : array_like, shape (n,)
        State of the parcel at the start [K], [Pa], and its speed [m s-1].
    dry_radius, number, hygroscopicity : array_like, shape (n, cell)
        Dry radius [m], number concentration [m-3] and hygroscopicity kappa [1] of the cells.
    constants : PhysicalConstants
        Constants of the host.
    options : ParcelOptions, optional
        Numerical options.

    Returns
    -------
    ParcelResult
        One value per sample.
    """
    temperature = np.ascontiguousarray(air_temperature, dtype=np.float64)
    n, cells = temperature.size, np.shape(dry_radius)[1]
    columns = [
        _real("air_temperature", temperature, (n,)),
        _real("air_pressure", air_pressure, (n,)),
        _real("updraft_speed", updraft_speed, (n,)),
        _real("dry_radius", dry_radius, (n, cells)),
        _real("number", number, (n, cells)),
        _real("hygroscopicity", hygroscopicity, (n, cells)),
    ]
    settings = _settings(constants, options)
    results, status, steps = np.zeros((n, 4)), np.zeros(n, np.int32), np.zeros(n, np.int32)
    error = _loaded(_built()).emufort_parcel_cells(
        n,
        cells,
        *map(_pointer, settings),
        *map(_pointer, columns),
        _pointer(results),
        status.ctypes.data_as(_int),
        steps.ctypes.data_as(_int),
    )
    return _finish(error, results, status, steps)
