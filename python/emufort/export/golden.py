"""Golden vectors: inputs with the outputs that every form of an emulator must reproduce.

They are stored with the weights, so that a host model can check an emulator on its machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Contract, Input, Output
from emufort.contract_arrays import split_columns
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError
from emufort.export.agreement import allowed_differences
from emufort.files import replacing
from emufort.network.emulator import Emulator

if TYPE_CHECKING:
    import netCDF4

Array = NDArray[np.float64]

#: Random seed; the same data and contract give the same golden inputs.
_SEED = 20_240_101
#: Share of golden vectors whose inputs all lie at a limit of their range.
_CORNERS = 0.25
#: Smallest distance from 0 and 1 of an input with a logit transform.
_LOGIT_MARGIN = 1e-6

#: Rows of the data on which the rounding error is measured in addition.
_MORE_ROWS = 1000

_FORMAT = "emufort-golden-1"


@dataclass(frozen=True)
class Golden:
    """Golden vectors in physical units.

    Attributes
    ----------
    contract
        Contract that describes the columns.
    x
        Inputs (n, n_inputs), within the contract's range and exact in single precision, so that
        hosts of either precision pass the same numbers.
    y
        Outputs (n, n_outputs) of `Emulator.predict`, double precision.
    tolerance
        Largest difference that a self test accepts, see `emufort.export.agreement`.
    """

    contract: Contract
    x: Array
    y: Array
    tolerance: float

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def draw(
        cls, emulator: Emulator, data: Dataset, n: int, tolerance: float | None = None
    ) -> Golden:
        """Draw `n` golden vectors; the same arguments give the same vectors.

        The first vector has every input at its lower limit and the second at its upper limit.
        Further vectors have every input at a random limit. Three quarters of all vectors are rows
        of `data`. An input without a range in the contract takes the limits of the data. The
        default `tolerance` is that of `emufort.export.agreement.allowed_differences` for the
        vectors and some more rows of `data`.
        """
        contract = emulator.contract
        rng = np.random.default_rng(_SEED)
        lower, upper = limits(contract, data.x)
        n_corners = min(n, max(2, round(_CORNERS * n)))
        at_upper = rng.random((n_corners, len(lower))) < 0.5
        at_upper[0] = False
        at_upper[1:2] = True
        corners = np.where(at_upper, upper, lower)
        rows = rng.choice(len(data), size=n - n_corners, replace=len(data) < n - n_corners)
        x = single_within(np.concatenate([corners, data.x[rows]]), contract)
        y = emulator.predict(x)
        if tolerance is None:
            more = single_within(data.x[rng.choice(len(data), size=_MORE_ROWS)], contract)
            spread = output_spread(contract, y)
            found = allowed_differences(emulator, np.concatenate([x, more]), spread)
            tolerance = float(found.max())
        return cls(contract, x, y, tolerance)

    @property
    def spread(self) -> Array:
        """Typical size of each output, for measuring differences near zero, (n_outputs,).

        See `emufort.export.agreement.differences`.
        """
        return output_spread(self.contract, self.y)

    # ------------------------------------------------------------------ files

    def save(self, path: Path, attributes: dict[str, str] | None = None) -> None:
        """Write a CF netCDF file with one variable per contract variable, atomically.

        Parameters
        ----------
        path
            The file to write.
        attributes
            Further global attributes, such as hashes.
        """
        import netCDF4

        contract = self.contract
        with replacing(path) as temporary, netCDF4.Dataset(temporary, "w") as file:
            file.setncatts(
                {
                    "Conventions": "CF-1.11",
                    "title": f"Golden vectors of the emulator '{contract.name}'",
                    "format": _FORMAT,
                    "contract_sha256": contract.sha256,
                    "tolerance": self.tolerance,
                    **(attributes or {}),
                }
            )
            file.createDimension(contract.row_dimension, len(self))
            for name, labels in contract.dimensions.items():
                file.createDimension(name, contract.size(name))
                if not isinstance(labels, int):
                    file.createVariable(name, str, (name,))[:] = np.array(labels, dtype=object)
            self._write(file, contract.input, self.x)
            self._write(file, contract.output, self.y)

    def _write(
        self,
        file: netCDF4.Dataset,
        variables: tuple[Input, ...] | tuple[Output, ...],
        values: Array,
    ) -> None:
        arrays = split_columns(self.contract, variables, values)
        for variable in variables:
            dimensions = (self.contract.row_dimension, *variable.dimensions)
            stored = file.createVariable(variable.name, "f8", dimensions)
            stored.units = variable.units
            if variable.long_name:
                stored.long_name = variable.long_name
            stored[:] = arrays[variable.name]

    @classmethod
    def load(cls, path: Path, contract: Contract, content: bytes | None = None) -> Golden:
        """Read what `save` wrote.

        Parameters
        ----------
        path
            The file.
        contract
            Contract that describes the columns.
        content
            Bytes of the file, if they were read already.

        Raises
        ------
        EmufortError
            The file is missing, damaged, or belongs to another contract.
        """
        import netCDF4

        try:
            with netCDF4.Dataset(path, memory=content) as file:
                if getattr(file, "format", None) != _FORMAT:
                    raise EmufortError(
                        f"{path} does not hold golden vectors of the format {_FORMAT}"
                    )
                if file.contract_sha256 != contract.sha256:
                    raise EmufortError(
                        f"{path} holds golden vectors of another contract than '{contract.name}'"
                    )
                return cls(
                    contract,
                    _read(file, contract.input),
                    _read(file, contract.output),
                    float(file.tolerance),
                )
        except (OSError, RuntimeError, IndexError, AttributeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise EmufortError(f"cannot read the golden vectors {path}: {reason}") from error


def _read(file: netCDF4.Dataset, variables: tuple[Input, ...] | tuple[Output, ...]) -> Array:
    blocks = [np.ma.filled(file[v.name][:], np.nan).astype(np.float64) for v in variables]
    return np.concatenate([b.reshape(len(b), -1) for b in blocks], axis=1)


def output_spread(contract: Contract, y: Array) -> Array:
    """Return a typical size of each output from its values `y` (n, n_outputs).

    The size is 0 for outputs whose logarithm the network predicts, because only their relative
    difference counts. It is 1 for fractions (sigmoid, logit). For all others it is the standard
    deviation of `y`, or the absolute value of an output that does not vary.
    """
    deviations = np.nanstd(y, axis=0)
    largest = np.nanmax(np.abs(y), axis=0)
    deviations = np.where(deviations > 0, deviations, np.where(largest > 0, largest, 1.0))
    sizes = {"ln": 0.0, "log10": 0.0, "sigmoid": 1.0, "logit": 1.0}
    kinds = [c.transform for c in contract.output_columns]
    return np.array([sizes.get(k, d) for k, d in zip(kinds, deviations, strict=True)])


def limits(contract: Contract, x: Array) -> tuple[Array, Array]:
    """Return the lowest and highest value of each input column, each (n_inputs,).

    The contract gives them; where it has none, the rows `x` (n, n_inputs) give them.
    """
    lower = np.array([c.lower for c in contract.input_columns])
    upper = np.array([c.upper for c in contract.input_columns])
    lower = np.where(np.isfinite(lower), lower, x.min(axis=0))
    upper = np.where(np.isfinite(upper), upper, x.max(axis=0))
    # A logit is infinite at 0 and 1, so the limits are kept inside.
    is_logit = np.array([c.transform == "logit" for c in contract.input_columns])
    lower = np.where(is_logit, np.maximum(lower, _LOGIT_MARGIN), lower)
    upper = np.where(is_logit, np.minimum(upper, 1.0 - _LOGIT_MARGIN), upper)
    return lower, upper


def single_within(x: Array, contract: Contract) -> Array:
    """Round to single precision, inwards where rounding would leave the contract's range."""
    lower = np.array([c.lower for c in contract.input_columns])
    upper = np.array([c.upper for c in contract.input_columns])
    single = np.clip(x, lower, upper).astype(np.float32)
    single = np.where(single < lower, np.nextafter(single, np.float32(np.inf)), single)
    single = np.where(single > upper, np.nextafter(single, np.float32(-np.inf)), single)
    return np.asarray(single, dtype=np.float64)
