"""The picture of a benchmark: who is who in it, and that nothing lies on anything else."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from emufort.benchmark import Result
from emufort.benchmark.contenders import ALL
from emufort.benchmark.plot import draw, write_plot
from emufort.benchmark.result import Row
from emufort.benchmark.styles import styles

#: What dichromats see of linear RGB (Machado et al. 2009, doi:10.1109/TVCG.2009.113).
SIGHT = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}
TO_XYZ = [
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
]
DRAWN = [contender for contender in ALL if contender.second_of is None]


def cielab(colours: list[str], sight: str) -> np.ndarray:
    """Return L, a, b of colours as a person sees them, (n, 3)."""
    rgb = np.array([to_rgb(colour) for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(SIGHT[sight]), 0.0, 1.0)
    xyz = seen @ np.transpose(TO_XYZ) / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = f.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def test_every_contender_has_a_colour_and_a_marker_of_its_own() -> None:
    looks = styles([contender.name for contender in DRAWN]).values()
    assert len({look["color"] for look in looks}) == len(DRAWN)
    assert len({look["marker"] for look in looks}) == len(DRAWN)


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_differ_for_the_colour_blind_too(sight: str) -> None:
    looks = styles([contender.name for contender in DRAWN]).values()
    lab = cielab([look["color"] for look in looks], sight)
    for one, other in itertools.combinations(lab, 2):
        assert np.linalg.norm(one - other) > 18.0
    # and from the white of the paper
    assert (lab[:, 0] < 82.0).all()


def test_contenders_that_are_added_look_like_no_other() -> None:
    names = [f"new-{k}" for k in range(50)] + [contender.name for contender in ALL]
    looks = styles(names)
    assert list(looks) == names
    assert len({(look["color"], look["marker"]) for look in looks.values()}) == len(names)
    # those that are known keep their look
    assert looks["torch"] == styles(["torch"])["torch"]


def made_up(models: int = 2) -> Result:
    """Return a benchmark of all contenders with made-up times."""
    about: dict[str, Any] = {
        "machine": {"cpu": "CPU", "cores": 1, "vectors": "AVX2"},
        "contenders": [
            {"name": c.name, "title": c.title, "is_native": c.is_native, "second_of": c.second_of}
            for c in ALL
        ],
        "models": [
            {
                "name": f"N{k}",
                "title": "16-32-4 relu",
                "multiply_adds": 640 * 4**k,
                "parameters": 676 * 4**k,
                "n_inputs": 16,
                "n_outputs": 4,
            }
            for k in range(models)
        ],
        "peak": {
            "gflops": 100.0,
            "read_gigabytes_per_second": {"L1": 180.0, "L2": 100.0, "memory": 20.0},
        },
    }
    rows = []
    for model in about["models"]:
        for k, contender in enumerate(ALL):
            for ncol in (1, 16, 1152):
                ns = model["multiply_adds"] * (0.03 + 0.05 * k) * (1 + 10 / ncol)
                row = Row(model["name"], "network", contender.name, ncol, 1, "ok")
                times = {"ns_per_column": ns, "ns_q25": 0.9 * ns, "ns_q75": 1.1 * ns}
                gflops = 2 * model["multiply_adds"] / ns
                rows.append(Row(**{**vars(row), **times, "gflops": gflops}))
    return Result(about, tuple(rows))


@pytest.fixture(scope="module")
def figure() -> Figure:
    figure: Figure = draw(made_up())
    figure.draw_without_rendering()
    return figure


def test_each_network_has_its_latency_and_its_roofline(figure: Figure) -> None:
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        *("N0: 16-32-4 relu", "N0: roofline of one core"),
        *("N1: 16-32-4 relu", "N1: roofline of one core"),
    ]
    for axes in figure.axes:
        lines = [
            line for line in axes.lines if line.get_marker() != "None" and len(line.get_xdata())
        ]
        assert len(lines) == len(DRAWN)
        looks = {(line.get_color(), line.get_marker()) for line in lines}
        assert len(looks) == len(DRAWN)


def test_the_legend_covers_no_data(figure: Figure) -> None:
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [c.title for c in DRAWN]
    box = legend.get_window_extent()
    assert figure.bbox.y1 >= box.y1
    assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
    for axes in figure.axes:
        assert not box.overlaps(axes.get_tightbbox())


def test_all_points_are_in_their_panel(figure: Figure) -> None:
    for axes in figure.axes:
        (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
        for line in axes.lines:
            if line.get_marker() != "None" and len(line.get_xdata()):
                x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
                assert ((x >= x0) & (x <= x1)).all()
                assert ((y >= y0) & (y <= y1)).all()


def test_without_a_peak_there_is_still_a_picture(tmp_path: Path) -> None:
    result = made_up(models=1)
    write_plot(Result({**result.about, "peak": None}, result.rows), tmp_path / "bench.png")
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
