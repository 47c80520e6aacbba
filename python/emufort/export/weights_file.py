"""Write and read ``weights.bin``, the file that the Fortran runtime loads.

The format is described in ``docs/weights_format.md``. The writer turns the scalers of an emulator
into the coefficients that the runtime computes with; `pack` and `flatten` also serve the
generated module, which holds the same numbers as constants.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emufort.contract import Contract
from emufort.errors import EmufortError
from emufort.files import write_bytes
from emufort.network.activations import parse
from emufort.network.emulator import Emulator

FORMAT_VERSION = 1
MAGIC = b"\x89EMUF\r\n\x1a"
BYTE_ORDER_MARK = 0x01020304
#: Each packed layer fills up a multiple of this, as ``lanes`` of ``emufort_kinds``.
LANES = 16
#: Zeros behind the packed weights, as ``packed_slack`` of ``emufort_dense``.
PACKED_SLACK = 16
#: Longest names and units that the runtime keeps.
LONGEST_NAME, LONGEST_UNITS = 128, 64

#: Parameter of an activation; the others have none.
_SLOPES: Mapping[str, float] = {"leaky_relu": 0.01, "elu": 1.0}
#: Codes of the transforms, as in ``fortran/src/emufort_transforms.F90``.
AFFINE, LN, LOGIT, SIGMOID, CONSTANT = 1, 2, 3, 4, 5

#: Twice the digits of a double.
_DIGITS = Context(prec=40)

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
class FlatEmulator:
    """An emulator as the three flat arrays that the runtime computes with.

    Attributes
    ----------
    plan
        Sizes and codes: n_inputs, n_features, n_outputs, n_layers, widths (n_layers + 1),
        activation (n_layers), feature (n_features, from 1), feature kind (n_features), output kind
        (n_outputs), reference input (n_outputs, from 1, 0 for none).
    numbers
        Range (n_inputs, 2), feature coefficients (n_features, 2), output coefficients
        (n_outputs, 2), output bounds (n_outputs, 2), slope (n_layers), flattened.
    weights
        For each layer the weights (n_out, n_in), then the biases (n_out,), flattened.
    """

    plan: NDArray[np.int32]
    numbers: Array
    weights: NDArray[np.float32]

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of features and of the neurons of each layer."""
        return tuple(int(w) for w in self.plan[4 : 5 + int(self.plan[3])])

    @property
    def ranges(self) -> Array:
        """What inputs are clipped to, shape (n_inputs, 2), lower and upper bound."""
        return self.numbers[: 2 * self.n_inputs].reshape(self.n_inputs, 2)

    @property
    def n_inputs(self) -> int:
        """Number of input columns."""
        return int(self.plan[0])

    @property
    def n_outputs(self) -> int:
        """Number of output columns, the constant ones too."""
        return int(self.plan[2])


@dataclass(frozen=True)
class WeightsFile:
    """Content of a ``weights.bin``.

    Attributes
    ----------
    flat
        What the runtime computes with.
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
        Added to it, per output, shape (n_outputs,).
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
        """Gather what ``weights.bin`` holds.

        Parameters
        ----------
        golden_x, golden_y
            Golden vectors; outputs default to those of `emulator` in double precision.
        relative_tolerance, absolute_tolerance
            What the self test allows: ``abs(y - golden) <= relative * abs(golden) + absolute``.
        about
            Further names and hashes to carry; text without tabs and line ends.
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
            A name, a unit or a value that the format cannot hold.
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
            ("weights", 3, self.flat.weights.astype("<f4").tobytes()),
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
            The file is missing, damaged, or of another version.
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
            flat = FlatEmulator(
                values("plan", 2).astype(np.int32),
                values("numbers", 4).astype(np.float64),
                values("weights", 3, 4).astype(np.float32),
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


def columns_of(contract: Contract) -> tuple[tuple[str, str, str], ...]:
    """Return the section `columns` of the file: role, name and units of every column."""
    inputs = (("input", c.name, c.units) for c in contract.input_columns)
    return (*inputs, *(("output", c.name, c.units) for c in contract.output_columns))


def _sections(content: bytes, source: str) -> dict[str, tuple[int, np.ndarray]]:
    """Check header and checksum; return type and values of every section."""
    if len(content) < _HEADER.size or content[:8] != MAGIC:
        raise EmufortError(f"{source} is not a weights file of emufort")
    _, mark, version, length, n_sections, checksum = _HEADER.unpack_from(content)
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


def flatten(emulator: Emulator) -> FlatEmulator:
    """Turn scalers, ranges and weights into the runtime's flat arrays."""
    contract, architecture = emulator.contract, emulator.architecture
    features = contract.feature_indices
    n_layers = len(emulator.weights)

    ranges = emulator.input_ranges
    feature_kinds, feature_numbers = [], []
    scaler = emulator.input_scaler
    for kind, shift, scale in zip(
        scaler.kinds, scaler.shift.tolist(), scaler.scale.tolist(), strict=True
    ):
        if kind == "ln":
            feature_kinds.append(LN)
            feature_numbers.append((1.0 / shift, scale))
        elif kind == "logit":
            feature_kinds.append(LOGIT)
            # correctly rounded, so that it is the same number on every machine
            feature_numbers.append((float(_DIGITS.exp(Decimal(-shift))), scale))
        elif kind == "affine":
            feature_kinds.append(AFFINE)
            feature_numbers.append((shift, scale))
        else:
            raise EmufortError(f"an input cannot have the transform '{kind}'")

    output_kinds, output_numbers = [], []
    scaler = emulator.output_scaler
    for kind, shift, scale in zip(
        scaler.kinds, scaler.shift.tolist(), scaler.scale.tolist(), strict=True
    ):
        if kind == "ln":
            output_kinds.append(LN)
            output_numbers.append((1.0 / scale, shift))
        elif kind == "logit":
            output_kinds.append(SIGMOID)
            output_numbers.append((1.0 / scale, shift))
        elif kind == "sigmoid":
            output_kinds.append(SIGMOID)
            output_numbers.append((1.0, 0.0))
        elif kind == "constant":
            output_kinds.append(CONSTANT)
            output_numbers.append((1.0, shift))
        else:
            output_kinds.append(AFFINE)
            output_numbers.append((1.0 / scale, shift))

    references = [0 if r is None else r + 1 for r in contract.reference_indices]
    functions = [parse(text) for text in (*architecture.activations, "linear")]
    plan = [
        len(ranges),
        len(features),
        len(output_kinds),
        n_layers,
        *architecture.sizes,
        *(row.code for row, _ in functions),
        *(f + 1 for f in features),
        *feature_kinds,
        *output_kinds,
        *references,
    ]
    numbers = np.concatenate(
        [
            ranges.ravel(),
            np.ravel(feature_numbers),
            np.ravel(output_numbers),
            np.ravel(contract.output_bounds),
            [parameter for _, parameter in functions],
        ]
    )
    weights = np.concatenate(
        [
            np.asarray(part, dtype=np.float32).ravel()
            for w, b in zip(emulator.weights, emulator.biases, strict=True)
            for part in (w, b)
        ]
    )
    # Source code has no infinity, and the generated module is to hold the same numbers.
    largest = np.finfo(np.float64).max
    numbers = np.clip(numbers.astype(np.float64), -largest, largest)
    return FlatEmulator(np.array(plan, dtype=np.int32), numbers, weights)


def panel_width(n_left: int) -> int:
    """Return the number of neurons in the next panel, as ``panel_width`` of ``emufort_dense``."""
    return 16 if n_left > 12 else 8 if n_left > 4 else 4


def pack(flat: FlatEmulator) -> NDArray[np.float32]:
    """Pack the weights of all layers as the runtime does when it loads them.

    Each layer is filled up to a multiple of `LANES`, so that all begin on a cache line if the
    first does. `PACKED_SLACK` zeros follow, because the runtime reads narrow panels as if they
    were wide.
    """
    packed: list[NDArray[np.float32]] = []
    place = 0
    sizes: Sequence[int] = flat.widths
    for n_in, n_out in itertools.pairwise(sizes):
        weight = flat.weights[place : place + n_in * n_out].reshape(n_out, n_in)
        bias = flat.weights[place + n_in * n_out : place + (n_in + 1) * n_out]
        place += (n_in + 1) * n_out
        layer = np.concatenate([bias[:, None], weight], axis=1)
        first = 0
        while first < n_out:
            width = panel_width(n_out - first)
            panel = np.zeros((n_in + 1, width), dtype=np.float32)
            rows = layer[first : first + width]
            panel[:, : len(rows)] = rows.T
            packed.append(panel.ravel())
            first += width
        packed.append(np.zeros(-sum(map(len, packed)) % LANES, dtype=np.float32))
    packed.append(np.zeros(PACKED_SLACK, dtype=np.float32))
    return np.concatenate(packed)
