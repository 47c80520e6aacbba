"""The parts of the headline and their figures."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.headline import (
    skill_against_time,
    time_to_target,
    two_steps_in_full,
    two_steps_ten_thousand,
)

#: Name of a part -> module with `run(options)` and `plot(result, axes)`.
PARTS: dict[str, ModuleType] = {
    "reach": time_to_target,
    "two-step": two_steps_in_full,
    "many": two_steps_ten_thousand,
    "skill": skill_against_time,
}


def draw(name: str, result: dict[str, Any], path: Path) -> None:
    """Draw the result of a part into a PNG file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    PARTS[name].plot(result, axes)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
