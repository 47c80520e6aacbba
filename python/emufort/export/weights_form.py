"""How a generated module gets its weights: as numbers, as text, or from weights.bin.

Compilers need minutes and gigabytes for millions of numbers. The module of a larger network
therefore holds the bytes of weights.bin as text (`text_of`), which the host has it decode once.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from emufort.config.deployment import Placement
from emufort.export.flat import FlatEmulator

#: The weights of a generated module: numbers, the bytes of weights.bin as text, or a file.
Form = Literal["numbers", "text", "file"]

#: Most bytes of weights and plan that are numbers in the source of a module.
MOST_BYTES_OF_NUMBERS = 100_000

_DIGITS = np.frombuffer(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", dtype=np.uint8
)
#: Bytes and digits of a group, as in ``fortran/src/emufort_base62.F90``.
_GROUP_BYTES, _GROUP_DIGITS = 5, 7
#: Digits of a line: as many groups as fit on a line of 132 characters with its signs.
_LINE = 17 * _GROUP_DIGITS
#: Lines of a text; Fortran 2018 allows 255 continuation lines.
_LINES = 250


def form_of(flat: FlatEmulator, placement: Placement) -> Form:
    """Return the form of the weights in a generated module.

    Parameters
    ----------
    flat
        Arrays of the emulator.
    placement
        The choice of the export.
    """
    if placement == "file":
        return "file"
    n_bytes = flat.weights.nbytes + flat.plan.nbytes
    return "numbers" if n_bytes <= MOST_BYTES_OF_NUMBERS else "text"


def text_of(content: bytes) -> list[list[str]]:
    """Return bytes as texts for a Fortran source, each a list of lines of letters and digits.

    Five bytes are seven digits of base 62, most significant first. ``append_bytes`` of the runtime
    decodes the texts. Zeros follow the content up to a multiple of five bytes.
    """
    padded = np.frombuffer(content + bytes(-len(content) % _GROUP_BYTES), dtype=np.uint8)
    groups = padded.reshape(-1, _GROUP_BYTES).astype(np.int64)
    values = groups @ 256 ** np.arange(_GROUP_BYTES - 1, -1, -1, dtype=np.int64)
    digits = np.empty((len(values), _GROUP_DIGITS), dtype=np.uint8)
    for place in range(_GROUP_DIGITS - 1, -1, -1):
        values, rest = np.divmod(values, 62)
        digits[:, place] = _DIGITS[rest]
    whole = digits.tobytes().decode("ascii")
    lines = [whole[i : i + _LINE] for i in range(0, len(whole), _LINE)]
    return [lines[i : i + _LINES] for i in range(0, len(lines), _LINES)]
