"""Call the Fortran parcel model from Python.

CMake compiles the shared library on first use into a cache folder. The name of the folder contains
the hash of sources, compiler and processor, so a change of any of them compiles the library again.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emufort.signals import run_child

SOURCE_FOLDER = Path(__file__).resolve().parent.parent
LIBRARY_NAME = "libemufort_parcel_model.so"

STATUS_MEANINGS = ("peak", "no_peak", "never_supersaturated", "solver_failure")
PARCEL_VARIABLES = ("air_temperature", "air_pressure", "updraft_speed")
MODE_VARIABLES = ("number_concentration", "dry_median_radius", "hygroscopicity")

STATUS_PEAK, STATUS_NO_PEAK, STATUS_NEVER_SUPERSATURATED, STATUS_SOLVER_FAILURE = range(4)

_double = ctypes.POINTER(ctypes.c_double)
_int = ctypes.POINTER(ctypes.c_int)


class BuildError(RuntimeError):
    """The parcel model cannot be compiled; the message gives the reason and the remedy."""


@dataclass(frozen=True)
class ParcelOptions:
    """Options of the parcel model. The data set records all of them.

    Attributes
    ----------
    initial_supersaturation : float
        Supersaturation over water at the start of the ascent [1], below 0: at 0 the equilibrium
        radius of an insoluble particle does not exist and the start is singular.
    accommodation : float
        Mass accommodation coefficient of water [1].
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

    initial_supersaturation: float = -0.02
    accommodation: float = 1.0
    relative_tolerance: float = 1e-5
    maximum_ascent: float = 3000.0
    prominence: float = 0.01
    maximum_steps: int = 5000

    def as_array(self) -> NDArray[np.float64]:
        """Return the values in the order of the Fortran side, shape (6,)."""
        return np.array([float(value) for value in asdict(self).values()])


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


def compiler() -> str | None:
    """Return the path of the Fortran compiler, FC or gfortran; None if there is none."""
    return shutil.which(os.environ.get("FC") or "gfortran")


def source_files() -> list[Path]:
    """Return the sources that determine the labels, in a fixed order."""
    return [SOURCE_FOLDER / "CMakeLists.txt", *sorted((SOURCE_FOLDER / "src").glob("*.f90"))]


def source_hash() -> str:
    """Return the SHA-256 of the names and contents of the sources of the parcel model."""
    digest = hashlib.sha256()
    for path in source_files():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def compiler_version() -> str:
    """Return the first line of the version text of the compiler.

    Raises
    ------
    BuildError
        There is no compiler, or it does not run.
    """
    path = compiler()
    if path is None:
        raise BuildError(
            "the parcel model needs a Fortran compiler: install gfortran or point the environment "
            "variable FC to one"
        )
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout:
        raise BuildError(f"the Fortran compiler {path} does not run: {done.stderr.strip()[:200]}")
    return done.stdout.splitlines()[0]


def _processor() -> str:
    """Return the processor and its instruction sets, because -march=native is not portable."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "".join(
        next((x for x in lines if x.startswith(key)), "") for key in ("model name", "flags")
    )


def cache_folder() -> Path:
    """Return the cache folder of the user, for files that can be made again."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "emufort"


def build(cache: Path | None = None) -> Path:
    """Compile the parcel model if needed.

    Parameters
    ----------
    cache : Path, optional
        Folder of the library; default `$XDG_CACHE_HOME/emufort` or `~/.cache/emufort`.

    Returns
    -------
    Path
        The shared library.

    Raises
    ------
    BuildError
        There is no compiler or no CMake, or the compilation fails.
    """
    version = compiler_version()
    key = hashlib.sha256("\0".join([source_hash(), version, _processor()]).encode()).hexdigest()[
        :16
    ]
    library = (cache or cache_folder()) / f"parcel_model_{key}" / LIBRARY_NAME
    if library.exists():
        return library
    cmake = shutil.which("cmake")
    if cmake is None:
        raise BuildError("the parcel model needs CMake to compile: install cmake (3.18 or newer)")
    library.parent.mkdir(parents=True, exist_ok=True)
    # a private folder, then an atomic rename: several processes may build at the same time
    with tempfile.TemporaryDirectory(dir=library.parent, prefix="build_") as folder:
        commands = [
            [
                *(cmake, "-S", str(SOURCE_FOLDER), "-B", folder),
                *("-DCMAKE_BUILD_TYPE=Release", "-DPARCEL_MODEL_TESTS=OFF"),
                f"-DCMAKE_Fortran_COMPILER={compiler()}",
            ],
            [cmake, "--build", folder],
        ]
        for command in commands:
            done = run_child(command, capture_output=True, text=True)
            if done.returncode != 0:
                text = (done.stdout + done.stderr).strip()
                raise BuildError(
                    f"the parcel model does not compile ({' '.join(command[:2])}):\n{text[-2000:]}"
                )
        (Path(folder) / LIBRARY_NAME).replace(library)
    return library


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(build()))
    c_int, c_double = ctypes.c_int, ctypes.c_double
    library.emufort_parcel_modes.argtypes = [c_int] * 3 + [c_double] + [_double] * 9 + [_int] * 2
    library.emufort_parcel_cells.argtypes = [c_int] * 2 + [_double] * 8 + [_int] * 2
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
    options: ParcelOptions | None = None,
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
    options : ParcelOptions, optional
        Options of the parcel model.

    Returns
    -------
    ParcelResult
        One value per sample.

    Raises
    ------
    ValueError
        The shapes do not agree, or `bins` is below 1.
    BuildError
        The parcel model cannot be compiled.
    """
    sigma = np.ascontiguousarray(geometric_standard_deviation, dtype=np.float64)
    n, modes = np.size(columns["air_temperature"]), sigma.size
    if bins < 1:
        raise ValueError(f"bins is {bins}, must be at least 1")
    parcel = [_real(name, columns[name], (n,)) for name in PARCEL_VARIABLES]
    aerosol = [_real(name, columns[name], (n, modes)) for name in MODE_VARIABLES]
    option_values = (options or ParcelOptions()).as_array()
    results, status, steps = np.zeros((n, 4)), np.zeros(n, np.int32), np.zeros(n, np.int32)
    error = _library().emufort_parcel_modes(
        n,
        modes,
        bins,
        half_width,
        _pointer(option_values),
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
    options: ParcelOptions | None = None,
) -> ParcelResult:
    """Compute the maximum supersaturation of samples with given cells of identical particles.

    Parameters
    ----------
    air_temperature, air_pressure, updraft_speed : array_like, shape (n,)
        State of the parcel at the start [K], [Pa], and its speed [m s-1].
    dry_radius, number, hygroscopicity : array_like, shape (n, cell)
        Dry radius [m], number concentration [m-3] and hygroscopicity kappa [1] of the cells.
    options : ParcelOptions, optional
        Options of the parcel model.

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
    option_values = (options or ParcelOptions()).as_array()
    results, status, steps = np.zeros((n, 4)), np.zeros(n, np.int32), np.zeros(n, np.int32)
    error = _library().emufort_parcel_cells(
        n,
        cells,
        _pointer(option_values),
        *map(_pointer, columns),
        _pointer(results),
        status.ctypes.data_as(_int),
        steps.ctypes.data_as(_int),
    )
    return _finish(error, results, status, steps)
