"""Write and read ``weights.bin``, the file that the Fortran runtime loads.

The format is described in ``docs/weights_format.md``.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.errors import EmufortError
from emufort.export.flat import FlatEmulator, flatten
from emufort.files import write_bytes
from emufort.network.emulator import Emulator

FORMAT_VERSION = 3
MAGIC = b"\x89EMUF\r\n\x1a"
BYTE_ORDER_MARK = 0x01020304
#: Longest names and units that the runtime keeps.
LONGEST_NAME, LONGEST_UNITS = 128, 64

_HEADER = struct.Struct("<8sIIQII32x")
_ENTRY = struct.Struct("<8sIIQQ")
_ALIGNMENT = 64
_CHECKSUM_AT = 28
_TYPES: Mapping[int, np.dtype] = {
    1: np.dtype("u1"),
    2: np.dtype("<i4"),
    3: np.dtype("<f4"),
    4: np.dtype("<f8"),
}

Array = NDArray[np.float64]


@dataclass(frozen=True)
class WeightsFile:
    """Content of a ``weights.bin``.

    Attributes
    ----------
    flat
        Arrays with which the runtime computes.
    columns
        ``(role, name, units)`` of every input column, then of every output column.
    about
        Names and hashes, such as ``name`` and ``contract_sha256``.
    contract
        The contract as JSON.
    golden_x, golden_y
        Golden vectors, physical units, shapes (n, n_inputs) and (n, n_outputs).
    relative_tolerance
        Largest relative error of a golden output.
    absolute_tolerance
        Absolute error that is accepted in addition, per output, shape (n_outputs,).
    """

    flat: FlatEmulator
    columns: tuple[tuple[str, str, str], ...]
    about: Mapping[str, str]
    contract: str
    golden_x: Array
    golden_y: Array
    relative_tolerance: float
    absolute_tolerance: Array

    # ------------------------------------------------------------ construction

    @classmethod
    def from_emulator(
        cls,
        emulator: Emulator,
        golden_x: Array | None = None,
        golden_y: Array | None = None,
        relative_tolerance: float = 1e-5,
        absolute_tolerance: Array | float = 0.0,
        about: Mapping[str, str] | None = None,
    ) -> WeightsFile:
        """Collect the content of a ``weights.bin``.

        Parameters
        ----------
        golden_x, golden_y
            Golden vectors; outputs default to those of `emulator` in double precision.
        relative_tolerance, absolute_tolerance
            Errors that the self test accepts: ``abs(y - golden) <= relative * abs(golden) +
            absolute``.
        about
            Further names and hashes to store; text without tabs and line ends.
        """
        contract = emulator.contract
        flat = flatten(emulator)
        if golden_x is None:
            golden_x = np.empty((0, flat.n_inputs))
        golden_x = np.asarray(golden_x, dtype=np.float64)
        if golden_y is None:
            golden_y = emulator.predict(golden_x)
        lines = {
            "name": contract.name,
            "contract_sha256": contract.sha256,
            "architecture": emulator.architecture.label,
            **(about or {}),
        }
        return cls(
            flat,
            columns_of(contract),
            lines,
            json.dumps(contract.to_dict(), sort_keys=True),
            golden_x,
            np.asarray(golden_y, dtype=np.float64),
            float(relative_tolerance),
            np.broadcast_to(np.asarray(absolute_tolerance, np.float64), (flat.n_outputs,)).copy(),
        )

    # ----------------------------------------------------------------- writing

    def to_bytes(self) -> bytes:
        """Return the content of the file.

        Raises
        ------
        EmufortError
            The format cannot hold a name, a unit or a value.
        """
        self._check()
        golden = np.concatenate(
            [
                [float(len(self.golden_x)), self.relative_tolerance],
                self.absolute_tolerance,
                self.golden_x.ravel(order="F"),
                self.golden_y.ravel(order="F"),
            ]
        )
        columns = "".join("\t".join(column) + "\n" for column in self.columns)
        about = "".join(f"{key}\t{value}\n" for key, value in self.about.items())
        sections = [
            ("about", 1, about.encode()),
            ("columns", 1, columns.encode()),
            ("contract", 1, self.contract.encode()),
            ("plan", 2, self.flat.plan.astype("<i4").tobytes()),
            ("numbers", 4, self.flat.numbers.astype("<f8").tobytes()),
            ("weights", *_values(self.flat.weights)),
            ("golden", 4, golden.astype("<f8").tobytes()),
        ]
        offset = _HEADER.size + len(sections) * _ENTRY.size
        table, body = b"", b""
        for name, kind, content in sections:
            padding = -offset % _ALIGNMENT
            body += bytes(padding) + content
            offset += padding
            n_values = len(content) // _TYPES[kind].itemsize
            table += _ENTRY.pack(name.encode().ljust(8), kind, 0, offset, n_values)
            offset += len(content)
        header = _HEADER.pack(MAGIC, BYTE_ORDER_MARK, FORMAT_VERSION, offset, len(sections), 0)
        content = header + table + body
        checksum = struct.pack("<I", zlib.crc32(content))
        return content[:_CHECKSUM_AT] + checksum + content[_CHECKSUM_AT + 4 :]

    def write(self, path: Path) -> str:
        """Write the file atomically; return its SHA-256."""
        content = self.to_bytes()
        write_bytes(path, content)
        return hashlib.sha256(content).hexdigest()

    @property
    def sha256(self) -> str:
        """Hash of the file's content."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def _check(self) -> None:
        for text in (
            *(part for column in self.columns for part in column),
            *self.about,
            *self.about.values(),
        ):
            if any(character in text for character in "\t\n\r"):
                raise EmufortError(f"{text!r} cannot go into weights.bin: it has a tab or line end")
        for _, name, units in self.columns:
            if len(name.encode()) > LONGEST_NAME or len(units.encode()) > LONGEST_UNITS:
                raise EmufortError(
                    f"the name or the units of '{name}' are too long for weights.bin: "
                    f"{LONGEST_NAME} and {LONGEST_UNITS} bytes at most"
                )
        if not np.isfinite(self.flat.weights).all():
            raise EmufortError("the network has weights that are NaN or infinite: train it again")
        shapes = (self.golden_x.shape, self.golden_y.shape)
        n = len(self.golden_x)
        if shapes != ((n, self.flat.n_inputs), (n, self.flat.n_outputs)):
            raise EmufortError(f"the golden vectors have the shapes {shapes}")

    # ----------------------------------------------------------------- reading

    @classmethod
    def read(cls, path: Path) -> WeightsFile:
        """Read what `write` wrote.

        Raises
        ------
        EmufortError
            The file is missing, damaged, or has another format version.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise EmufortError(f"cannot read {path}: {error.strerror}") from error
        return cls.from_bytes(content, str(path))

    @classmethod
    def from_bytes(cls, content: bytes, source: str = "weights.bin") -> WeightsFile:
        """Inverse of `to_bytes`; `source` names the file in error messages."""
        sections = _sections(content, source)

        def values(name: str, *kinds: int) -> np.ndarray:
            kind, found = sections.get(name, (0, np.empty(0)))
            if kind not in kinds:
                raise EmufortError(f"{source} lacks the section '{name}'")
            return found

        try:
            weights = values("weights", 3, 4)
            flat = FlatEmulator(
                values("plan", 2).astype(np.int32),
                values("numbers", 4).astype(np.float64),
                weights.astype(weights.dtype.newbyteorder("=")),
            )
            n_in, n_out = flat.n_inputs, flat.n_outputs
            golden = values("golden", 4)
            n = int(golden[0])
            x, y = np.split(golden[2 + n_out :], [n * n_in])
            text = {k: values(k, 1).tobytes().decode() for k in ("about", "columns", "contract")}
            columns = [tuple(line.split("\t")) for line in text["columns"].splitlines()]
            return cls(
                flat,
                tuple((role, name, units) for role, name, units in columns),
                dict(line.split("\t", 1) for line in text["about"].splitlines()),
                text["contract"],
                x.reshape((n, n_in), order="F"),
                y.reshape((n, n_out), order="F"),
                float(golden[1]),
                golden[2 : 2 + n_out],
            )
        except (ValueError, IndexError, OverflowError) as error:
            raise EmufortError(f"{source} contradicts itself: {error}") from error


def _values(weights: NDArray[np.floating[Any]]) -> tuple[int, bytes]:
    """Return type and bytes of the section `weights`."""
    kind = 4 if weights.dtype == np.float64 else 3
    return kind, weights.astype(_TYPES[kind]).tobytes()


def columns_of(contract: Contract) -> tuple[tuple[str, str, str], ...]:
    """Return the section `columns` of the file: role, name and units of every column."""
    inputs = (("input", c.name, c.units) for c in contract.input_columns)
    return (*inputs, *(("output", c.name, c.units) for c in contract.output_columns))


def _sections(content: bytes, source: str) -> dict[str, tuple[int, np.ndarray]]:
    """Check header and checksum; return type and values of every section."""
    if len(content) < _HEADER.size or content[:8] != MAGIC:
        raise EmufortError(f"{source} is not a weights file of emufort")
    _, mark, version, length, n_sections, checksum = _HEADER.unpack_from(content)
    if mark == BYTE_ORDER_MARK and version < FORMAT_VERSION:
        raise EmufortError(f"{source} was written by an earlier emufort: export again")
    if mark != BYTE_ORDER_MARK or version != FORMAT_VERSION:
        raise EmufortError(f"{source} has another format version or byte order; export it again")
    if length != len(content):
        raise EmufortError(f"{source} is truncated: it has {len(content)} of {length} bytes")
    zeroed = content[:_CHECKSUM_AT] + bytes(4) + content[_CHECKSUM_AT + 4 :]
    if zlib.crc32(zeroed) != checksum:
        raise EmufortError(f"{source} is damaged: its checksum is wrong")
    if _HEADER.size + n_sections * _ENTRY.size > length:
        raise EmufortError(f"{source} has an impossible number of sections")
    found = {}
    for i in range(n_sections):
        name, kind, _, offset, n_values = _ENTRY.unpack_from(
            content, _HEADER.size + i * _ENTRY.size
        )
        if kind not in _TYPES or offset + n_values * _TYPES[kind].itemsize > length:
            raise EmufortError(f"{source} has a section outside the file or of unknown type")
        values = np.frombuffer(content, _TYPES[kind], n_values, offset)
        found[name.rstrip(b" \0").decode("ascii", "replace")] = (kind, values)
    return found
