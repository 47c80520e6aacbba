"""Use an exported emulator from Python with the same Fortran runtime as a host model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emufort.brief import brief, listed
from emufort.contract import Contract
from emufort.contract_arrays import join_columns, split_columns
from emufort.errors import EmufortError, UsageError, did_you_mean
from emufort.export.bundle import Bundle
from emufort.export.contents import ONNX, WEIGHTS
from emufort.export.onnx import check_metadata
from emufort.native.bindings import (
    FortranEmulator,
    FortranError,
    Prediction,
    Real,
    available,
    matrix,
)
from emufort.network.precision import DTYPES

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FortranEmulator", "FortranError", "LoadedEmulator", "Prediction", "load"]

BackendName = Literal["fortran", "onnxruntime"]
_BACKENDS = ("auto", "fortran", "onnxruntime")


class _Backend(Protocol):
    """Interface of a backend, which maps inputs (n, n_inputs) to a `Prediction`."""

    def predict(self, x: ArrayLike) -> Prediction: ...


class LoadedEmulator:
    """An emulator of a bundle, ready to predict; any number of threads may share it.

    Build one with `load`.

    Attributes
    ----------
    bundle
        Bundle of the emulator; ``bundle.manifest`` has names, hashes and provenance.
    backend
        ``"fortran"`` or ``"onnxruntime"``.
    """

    def __init__(self, bundle: Bundle, backend: BackendName, engine: _Backend) -> None:
        self.bundle = bundle
        self.backend = backend
        self._engine = engine

    def __repr__(self) -> str:
        inputs = listed([v.name for v in self.contract.input])
        outputs = listed([v.name for v in self.contract.output])
        return brief(self, f"{self.bundle.name} ({self.backend})", f"{inputs} -> {outputs}")

    @property
    def contract(self) -> Contract:
        """Inputs and outputs: names, units, order, ranges."""
        return self.bundle.manifest.contract

    @overload
    def predict(self, data: xr.Dataset) -> xr.Dataset: ...

    @overload
    def predict(self, data: Mapping[str, ArrayLike]) -> dict[str, Real]: ...

    @overload
    def predict(self, data: ArrayLike) -> Real: ...

    def predict(
        self, data: xr.Dataset | Mapping[str, ArrayLike] | ArrayLike
    ) -> xr.Dataset | dict[str, Real] | Real:
        """Predict a data set, arrays by name, or a matrix; the result is of the same kind.

        Parameters
        ----------
        data
            One of three:

            - A data set of xarray with every input of the contract under its name. Its values are
              converted to the units of the contract. Dimensions of the contract (such as ``mode``)
              are required where the contract has them; they may stand in any order and are sorted
              by their labels. All other dimensions are free; a variable without one of these is
              repeated along it.
            - A mapping of the names of the inputs to arrays (n, ...) in the units of the contract,
              with the dimensions of the variable behind the samples.
            - A matrix (n, n_inputs), see `predict_array`.

            Further variables are ignored.

        Returns
        -------
        xarray.Dataset, dict or numpy.ndarray
            The outputs of the contract, in single precision if all inputs are:

            - as a data set over the free dimensions and those of the contract, with units, long
              names and coordinates. The attributes name the emulator and count inputs that were out
              of range and clipped (``n_clipped``) and rows whose inputs are NaN or infinite and
              whose outputs are NaN (``n_invalid``).
            - as arrays (n, ...) by name
            - as a matrix (n, n_outputs)

        Raises
        ------
        DataError
            A variable, dimension or label is missing, an array has another shape, or units are
            those of another quantity.
        UsageError
            The matrix has another shape or holds no real numbers.
        """
        if not isinstance(data, Mapping):
            return self.predict_array(data)
        import xarray as xr

        if isinstance(data, xr.Dataset):
            return self._predict_dataset(data)
        contract = self.contract
        y = self.predict_array(join_columns(contract, contract.input, data))
        return split_columns(contract, contract.output, y)

    def _predict_dataset(self, data: xr.Dataset) -> xr.Dataset:
        from emufort.runtime.xarray_stack import Stack

        stack = Stack.of(data, self.contract)
        prediction = self.predict_with_status(stack.x)
        result = stack.outputs(prediction.y)
        result.attrs = {
            "title": self.contract.title or self.bundle.name,
            "emulator": self.bundle.name,
            "emulator_hash": self.bundle.hash,
            "emulator_backend": self.backend,
            "n_clipped": prediction.n_clipped,
            "n_invalid": prediction.n_invalid,
        }
        return result

    def predict_array(self, x: ArrayLike) -> Real:
        """Return outputs (n, n_outputs) for inputs `x` (n, n_inputs), physical, contract order.

        The result is single precision if `x` is, else double precision.

        Raises
        ------
        UsageError
            `x` has another shape or holds no real numbers.
        """
        return self.predict_with_status(x).y

    def predict_with_status(self, x: ArrayLike) -> Prediction:
        """Return the outputs of `predict_array`, and which rows were out of range."""
        return self._engine.predict(matrix(x, len(self.contract.input_columns)))


class _OnnxEngine:
    """ONNX Runtime in place of the Fortran runtime, with the same treatment of bad inputs."""

    def __init__(self, bundle: Bundle) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise EmufortError(
                "ONNX Runtime is not installed; install onnxruntime, or build the bindings of the "
                "Fortran runtime"
            ) from error

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(
                bundle.read(ONNX), options, providers=["CPUExecutionProvider"]
            )
        except EmufortError:
            raise
        except Exception as error:  # the package raises exceptions without a common base class
            reason = str(error).splitlines()[0]
            raise EmufortError(f"ONNX Runtime cannot load {bundle.onnx}: {reason}") from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        check_metadata(metadata, bundle.manifest, str(bundle.onnx))
        self._file = bundle.weights_file
        self._kind = DTYPES[bundle.manifest.precision]
        # bounds to which the Fortran runtime clips
        self._lower, self._upper = self._file.flat.ranges.T

    def self_test(self) -> None:
        """Reproduce the golden vectors, as the Fortran runtime does.

        Raises
        ------
        EmufortError
            A golden vector is not reproduced on this machine.
        """
        wanted = self._file.golden_y
        allowed = self._file.relative_tolerance * np.abs(wanted) + self._file.absolute_tolerance
        wrong = ~(np.abs(self.predict(self._file.golden_x).y - wanted) <= allowed)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            name = self._file.columns[len(self._lower) + int(column)][1]
            raise EmufortError(
                f"golden vector {row + 1} is not reproduced in {name} by ONNX Runtime on this "
                "machine; verify the bundle, or load it with the backend 'fortran'"
            )

    def predict(self, x: ArrayLike) -> Prediction:
        x = matrix(x, len(self._lower))
        # a limit that was rounded to the precision of the inputs is not out of range
        with np.errstate(over="ignore"):
            lower: Real = self._lower.astype(x.dtype)
            upper: Real = self._upper.astype(x.dtype)
            within = np.clip(x, lower, upper).astype(self._kind)
        invalid: NDArray[np.bool_] = np.logical_not(np.isfinite(x).all(axis=1))
        clipped = np.isfinite(x) & ((x < lower) | (x > upper))
        (y,) = self._session.run(None, {"x": within})
        y = y.astype(x.dtype)
        y[invalid] = np.nan
        outside: NDArray[np.bool_] = invalid | clipped.any(axis=1)
        return Prediction(y, outside, int(clipped.sum()), int(invalid.sum()))


def load(
    bundle: str | os.PathLike[str], backend: Literal["auto", "fortran", "onnxruntime"] = "auto"
) -> LoadedEmulator:
    """Load the emulator of a bundle, check its files and reproduce its golden vectors.

    Parameters
    ----------
    bundle
        Folder of the bundle, or the result of `emufort.api.export`.
    backend
        ``"fortran"`` or ``"onnxruntime"``; ``"auto"`` uses the Fortran runtime if its bindings are
        built, else ONNX Runtime.

    Returns
    -------
    LoadedEmulator
        The emulator; its method `predict` takes data sets, arrays by name, or a matrix.

    Raises
    ------
    EmufortError
        There is no bundle, a file was changed or contradicts the manifest, the bindings are
        requested but not built, or this machine does not reproduce the golden vectors.
    """
    if backend not in _BACKENDS:
        raise UsageError(f"there is no backend '{backend}'{did_you_mean(backend, _BACKENDS)}")
    # A Bundle is opened again, because its files may have changed.
    opened = Bundle.open(Path(os.fspath(bundle)))
    if backend == "onnxruntime" or (backend == "auto" and not available(opened.manifest.precision)):
        engine = _OnnxEngine(opened)
        engine.self_test()
        return LoadedEmulator(opened, "onnxruntime", engine)
    emulator = FortranEmulator.from_bytes(opened.read(WEIGHTS), opened.manifest.precision)
    emulator.self_test()
    return LoadedEmulator(opened, "fortran", emulator)
