"""The Fortran runtime in Python, through the f90wrap bindings in ``emufort._native``."""

from __future__ import annotations

import importlib
import os
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emufort.errors import EmufortError, UsageError
from emufort.network.precision import Precision

#: Single or double precision.
Real = NDArray[np.floating[Any]]

#: Extensions with the runtime in either precision.
_MODULES: Mapping[Precision, str] = {
    "single": "emufort._native",
    "double": "emufort._native_double",
}
#: Prefix that f90wrap gives to the name of a procedure.
_PREFIX = "f90wrap_emufort_bindings__"
#: Most columns per call of Fortran, where array sizes are 32-bit integers.
_COLUMNS_PER_CALL = 1 << 20


class FortranError(EmufortError):
    """The Fortran runtime reports an error.

    Attributes
    ----------
    code
        One of the runtime's ``emufort_error_*`` codes.
    message
        Error message of the runtime.
    place
        The procedure that detected the error.
    """

    def __init__(self, code: int, message: str, place: str) -> None:
        super().__init__(f"{message} (Fortran runtime, {place}, code {code})")
        self.code = code
        self.message = message
        self.place = place


@dataclass(frozen=True)
class Prediction:
    """Outputs of a batch, and which inputs were clipped or invalid.

    Attributes
    ----------
    y
        Outputs (n, n_outputs), physical units, in the precision of the inputs.
    outside
        Whether an input of the row was clipped or invalid, shape (n,).
    n_clipped
        Number of input values that were out of range and clipped.
    n_invalid
        Number of rows with a NaN or infinite input; their outputs are NaN.
    """

    y: Real
    outside: NDArray[np.bool_]
    n_clipped: int
    n_invalid: int


def matrix(x: ArrayLike, n_columns: int) -> Real:
    """Return `x` as a C-contiguous (n, n_columns) array; single precision stays single.

    Raises
    ------
    UsageError
        `x` has another shape or holds no real numbers.
    """
    array = np.asarray(x)
    if array.dtype.kind not in "fiu":
        raise UsageError(f"the inputs are of type {array.dtype}, not real numbers")
    if array.ndim != 2 or array.shape[1] != n_columns:
        raise UsageError(f"the inputs have the shape {array.shape}, not (n, {n_columns})")
    kind = np.float32 if array.dtype == np.float32 else np.float64
    contiguous: Real = np.ascontiguousarray(array, dtype=kind)
    return contiguous


@cache
def _native(precision: Precision = "single") -> Any:
    """Import the bindings of the runtime in a precision; None if they are not built."""
    try:
        return importlib.import_module(_MODULES[precision])
    except ModuleNotFoundError:
        return None
    except ImportError as error:
        raise EmufortError(
            f"the Fortran bindings do not load: {error}; install emufort again on this machine"
        ) from error


def available(precision: Precision = "single") -> bool:
    """Return whether the bindings of the runtime in a precision are built."""
    return _native(precision) is not None


def cpu_level() -> int:
    """Return the x86-64 level of this CPU: 4 (AVX-512), 3 (AVX2) or 1; 0 for other kinds of CPU."""
    return int(_call("single", "cpu_level"))


def _call(precision: Precision, procedure: str, *arguments: Any) -> Any:
    return getattr(_native(precision), _PREFIX + procedure)(*arguments)


def _raise_if_failed(code: int, message: bytes, place: bytes) -> None:
    if code != 0:
        raise FortranError(code, _text(message), _text(place))


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace").rstrip("\0 ")


def _bytes(content: bytes) -> NDArray[np.int8]:
    return np.frombuffer(content, dtype=np.int8)


def _padded(words: Sequence[str]) -> NDArray[np.int8]:
    """Return words as characters (character, word), padded with blanks."""
    encoded = [word.encode() for word in words]
    length = max(map(len, encoded), default=1) or 1
    joined = b"".join(word.ljust(length) for word in encoded)
    return _bytes(joined).reshape(len(words), length).T


class FortranEmulator:
    """An emulator in the Fortran runtime; any number of threads may share it.

    Build one with `from_file` or `from_bytes`. The memory is released with the object.
    """

    def __init__(self, handle: int, precision: Precision = "single") -> None:
        self._handle = handle
        self.precision = precision
        self.n_inputs, self.n_outputs = self._call("sizes", handle)
        weakref.finalize(self, _call, precision, "close_emulator", handle)

    def _call(self, procedure: str, *arguments: Any) -> Any:
        return _call(self.precision, procedure, *arguments)

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], precision: Precision = "single"
    ) -> FortranEmulator:
        """Load ``weights.bin``, to compute in a precision.

        Raises
        ------
        FortranError
            The file is missing, damaged, or of another format.
        """
        return cls._opened(precision, *_open(precision, "open_file", os.fsencode(path)))

    @classmethod
    def from_bytes(cls, content: bytes, precision: Precision = "single") -> FortranEmulator:
        """Load the content of ``weights.bin``; the errors are those of `from_file`."""
        return cls._opened(precision, *_open(precision, "open_bytes", content))

    @classmethod
    def _opened(
        cls, precision: Precision, handle: int, code: int, message: bytes, place: bytes
    ) -> FortranEmulator:
        _raise_if_failed(code, message, place)
        return cls(handle, precision)

    def predict(self, x: ArrayLike) -> Prediction:
        """Predict the rows of `x` (n, n_inputs), physical units and contract order.

        Raises
        ------
        UsageError
            `x` has another shape or holds no real numbers.
        """
        x = matrix(x, self.n_inputs)
        procedure = "predict_single" if x.dtype == np.float32 else "predict_double"
        y = np.empty((len(x), self.n_outputs), dtype=x.dtype)
        outside = np.zeros(len(x), dtype=np.int8)
        n_clipped = n_invalid = 0
        for start in range(0, len(x), _COLUMNS_PER_CALL):
            rows = slice(start, start + _COLUMNS_PER_CALL)
            # rows of a C array are columns of a Fortran array, so nothing is copied
            clipped, invalid, *status = self._call(
                procedure, self._handle, x[rows].T, y[rows].T, outside[rows]
            )
            _raise_if_failed(*status)
            n_clipped += clipped
            n_invalid += invalid
        return Prediction(y, outside.astype(np.bool_), n_clipped, n_invalid)

    def require(self, names: Sequence[str], units: Sequence[str]) -> None:
        """Check a host's variables, in its order, against the emulator's inputs (and outputs).

        Raises
        ------
        FortranError
            A name, the order, a unit or the number of variables differs.

        Parameters
        ----------
        names, units
            Names and units of the variables of the host, in the same order.
        """
        _raise_if_failed(*self._call("require", self._handle, _padded(names), _padded(units)))

    def self_test(self) -> None:
        """Reproduce the golden vectors that are stored with the weights.

        Raises
        ------
        FortranError
            A golden vector is not reproduced on this machine.
        """
        _raise_if_failed(*self._call("self_test", self._handle))

    def describe(self) -> str:
        """Return lines of ``key <tab> value``; columns as ``input <tab> name <tab> units``."""
        text = np.zeros(8192 + 256 * (self.n_inputs + self.n_outputs), dtype=np.int8)
        self._call("describe", self._handle, text)
        return _text(text.tobytes())

    def columns(self, side: str) -> list[tuple[str, str]]:
        """Return name and units of each column; `side` is ``"input"`` or ``"output"``."""
        lines = (line.split("\t") for line in self.describe().splitlines())
        return [(line[1], line[2].strip()) for line in lines if line[0] == side and len(line) == 3]

    def contract_json(self) -> str:
        """Return the contract as it was exported."""
        text = np.zeros(self._call("contract_size", self._handle), dtype=np.int8)
        self._call("contract", self._handle, text)
        return text.tobytes().decode()


def _open(precision: Precision, procedure: str, content: bytes) -> tuple[int, int, bytes, bytes]:
    if _native(precision) is None:
        raise EmufortError(
            "the Fortran bindings are not built; install gfortran and cmake and then emufort again"
        )
    opened: tuple[int, int, bytes, bytes] = _call(precision, procedure, _bytes(content))
    return opened
