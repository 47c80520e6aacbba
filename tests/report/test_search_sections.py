"""The report's sections about step 1: the front of two objectives, and the importances."""

from __future__ import annotations

import dataclasses
import html
import re
import shutil
import sys
from pathlib import Path

import pytest

from emufort.files import read_json, write_json
from emufort.report import search_plots, style
from emufort.report.gather import gather
from emufort.report.html import render
from emufort.search.importance_words import IMPORTANCE_LEGEND, ImportanceRow
from tests.search.candidates import made
from tests.search.pond import data

sys.path.insert(0, str(Path(__file__).parent))
from folders import run_folder

IMPORTANCES = {
    "skill": {"learning_rate": 0.62, "width_1": 0.38},
    "time": {"width_1": 0.9, "learning_rate": 0.1},
}


def words(page: str) -> str:
    """Return the text of a page without tags, with single blanks."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def trials():
    """Return three trials of the last rung, two of them on the front, and a stopped one."""
    losses = [(0.5, 0.4), (0.4, 0.1), (0.4, 0.2), (0.9,)]
    return tuple(
        dataclasses.replace(made(i, *loss, stopped=len(loss) == 1), predicted_ns=20.0 + 10 * i)
        for i, loss in enumerate(losses)
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return gather(run_folder(tmp_path_factory.mktemp("run"), data()), data())


def test_importances_are_a_table_and_a_figure(run):
    page = render(dataclasses.replace(run, search={**run.search, "importances": IMPORTANCES}))
    assert '<section id="importances">' in page
    text = words(page)
    assert IMPORTANCE_LEGEND in text
    assert "learning rate 62 % 10 %" in text
    assert "width of layer 1 38 % 90 %" in text
    assert text.index("learning rate 62 %") < text.index("width of layer 1 38 %")


def test_the_front_of_step_1_is_a_table_and_a_figure(run):
    page = render(dataclasses.replace(run, trials=trials()))
    assert '<section id="search-front">' in page
    text = words(page)
    for trial in trials():
        row = f"{trial.number} {trial.architecture.label}"
        assert (row in text) == (trial.number in (0, 1))


def test_other_searches_have_neither(run):
    page = render(run)
    assert run.trials == ()
    assert '<section id="importances">' not in page
    assert '<section id="search-front">' not in page


def test_a_search_with_one_objective_is_not_read(tmp_path):
    folder = run_folder(tmp_path / "run", data())
    path = folder / "search" / "search.json"
    for objectives in (["skill"], None):
        write_json(path, {**read_json(path), "config": {"search": {"objectives": objectives}}})
        assert gather(folder, data()).trials == ()
    shutil.rmtree(folder / "search")
    assert gather(folder, data()).trials == ()


def test_figures_show_what_they_should():
    rows = [ImportanceRow("depth", 0.7, 0.2), ImportanceRow("activation", 0.3, 0.8)]
    figure = search_plots.importances(rows)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["depth", "activation"]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([70, 30, 20, 80])
    assert style.svg(figure) == style.svg(search_plots.importances(rows))
    front = search_plots.search_front(trials(), "error").axes[0]
    assert front.get_ylabel() == "validation error of step 1"
    legend = [text.get_text() for text in front.get_legend().get_texts()]
    assert legend == ["stopped early", "trained to the last rung", "front"]
    assert [len(points.get_offsets()) for points in front.collections] == [1, 3, 2]
    stopped = search_plots.search_front(trials()[3:]).axes[0]
    assert [text.get_text() for text in stopped.get_legend().get_texts()] == ["stopped early"]
