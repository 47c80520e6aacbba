"""A unique colour and marker for every contender, the same in every figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: Colours and markers of the known contenders by families: emufort in reds and oranges, ONNX
#: Runtime in blues, onnx2c in pink, OpenBLAS in greens, torch in purples, classical schemes in
#: greys. Any two colours are at least 18 apart in CIELAB for normal sight, protanopia and
#: deuteranopia.
_KNOWN = {
    "native-layers": ("#6f0207", "o"),
    "native-network": ("#b66036", "s"),
    "native-embedded": ("#ee7d1c", "D"),
    "native-loaded": ("#e2776f", "^"),
    "onnxruntime-fortran": ("#1773d5", "v"),
    "onnxruntime-python": ("#7cc2fb", "<"),
    "onnx2c": ("#b478b4", "."),
    "openblas-plain": ("#0f5535", ">"),
    "openblas": ("#60d5bf", "P"),
    "openblas-avx512": ("#83d96a", "X"),
    "torch": ("#903d99", "h"),
    "torch-compile": ("#4f2e50", "p"),
    "baseline": ("#11090d", "*"),
    "baseline-call": ("#65676b", "d"),
}
#: Markers of any other contender, combined with all colours above.
_MORE_MARKERS = ("8", "H", "1", "2", "3", "4", "+", "x", "|", "_")
#: Markers that need another size to look as large as the others.
_MARKER_SIZES = {"*": 8.0, "P": 6.0, "X": 6.0, "D": 4.5, "s": 5.0, "d": 6.0, ".": 11.0}


def styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the plot style of each contender; no two share both colour and marker.

    Parameters
    ----------
    names
        Names of contenders. A known contender has the same style whatever the other names are.

    Returns
    -------
    dict of str to dict
        Arguments of matplotlib's `plot` by name.
    """
    colours = [colour for colour, _ in _KNOWN.values()]
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        if name not in _KNOWN:
            row, column = divmod(sum(n not in _KNOWN for n in found), len(colours))
            look = colours[column], _MORE_MARKERS[row % len(_MORE_MARKERS)]
        else:
            look = _KNOWN[name]
        found[name] = _style(*look, is_native=name.startswith("native-"))
    return found


def _style(colour: str, marker: str, *, is_native: bool) -> dict[str, Any]:
    return {
        "color": colour,
        "marker": marker,
        "markersize": _MARKER_SIZES.get(marker, 5.5),
        "linewidth": 1.8 if is_native else 1.1,
        "zorder": 4 if is_native else 3,
    }
