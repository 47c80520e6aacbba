"""The report: stands alone, holds every part that the run has, and knows no process."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from emufort.contract import Contract
from emufort.dataset.dataset import Dataset
from emufort.errors import EmufortError
from emufort.files import read_csv, read_json, write_csv, write_json
from emufort.processes import Head, Process
from emufort.report import plots, style, write_report
from emufort.report.gather import Column, gather
from emufort.report.html import duration, number, r2, render, signed
from emufort.skill import Score, Skill
from tests.conftest import install_process

sys.path.insert(0, str(Path(__file__).parent))
from folders import old_agreement, run_folder

POND = """
name = "pond"
process = "pond_report"
title = "Evaporation <of> a pond"
[dimensions]
bank = ["north_bank", "south_bank"]
[[input]]
name = "wind_speed"
units = "m s-1"
transform = "ln"
[[input]]
name = "sunshine"
[[output]]
name = "evaporation_rate"
units = "kg m-2 s-1"
dimension = "bank"
transform = "ln"
[[output]]
name = "cooling"
units = "K"
[[baseline]]
name = "BULK"
variable = "bulk"
gives = "evaporation_rate"
head = "bulk"
[[baseline]]
name = "GUESS"
variable = "bulk"
gives = "evaporation_rate"
head = "bulk"
"""


def bulk_head(
    inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    return {"evaporation_rate": outputs["evaporation_rate"], "cooling": inputs["sunshine"]}


PROCESS = Process("pond_report", heads={"bulk": Head(bulk_head)})


@pytest.fixture(scope="module", autouse=True)
def _registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        site = tmp_path_factory.mktemp("site")
        patch.syspath_prepend(install_process(site, PROCESS.name, f"{__name__}:PROCESS"))
        yield


def pond(n: int = 700) -> Dataset:
    rng = np.random.default_rng(3)
    wind, sun = np.exp(rng.uniform(-1, 3, n)), rng.uniform(0, 1, n)
    north = 1e-6 * (1 + wind) ** 0.7 * (1 + sun)
    y = np.stack([north, 2 * north, 3 * sun - 0.2 * wind], axis=1)
    split = np.repeat([0, 1, 2], [n - 200, 100, 100]).astype(np.int8)
    bulk = np.stack([1.4 * north, 2.5 * north], axis=1)
    return Dataset(
        Contract.from_toml(POND),
        Path("pond.nc"),
        "ab" * 32,
        np.stack([wind, sun], axis=1),
        y,
        split,
        np.arange(n),
        {"BULK": bulk, "GUESS": bulk},
    )


@pytest.fixture(scope="module")
def data() -> Dataset:
    return pond()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, data: Dataset) -> Path:
    folder = run_folder(tmp_path_factory.mktemp("run"), data)
    write_report(folder, data)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text()


class Reader(HTMLParser):
    """Gathers what a browser would fetch, and whether tags are balanced."""

    void = frozenset(("meta", "img", "br", "link", "input", "hr"))

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.fetched += [
            value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")
        ]
        assert tag not in ("script", "link", "iframe", "object", "embed")
        if tag == "img":
            self.images.append(found)
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def words(page: str) -> str:
    return re.sub(r"\s+", " ", "".join(Reader(page).text))


def test_nothing_is_fetched(page: str) -> None:
    reader = Reader(page)
    assert reader.open == []
    assert reader.fetched, "there are figures"
    assert all(address.startswith("data:image/svg+xml;base64,") for address in reader.fetched)
    outside = re.sub(r"data:image/[^\"]*", "", page)
    assert not re.search(r"https?:|//[a-z]|url\(|@import", outside)
    assert all(image.get("alt") for image in reader.images)


def test_every_part_is_there(page: str, folder: Path) -> None:
    for part in ("skill", "choice", "time", "predictions", "training", "search", "verification"):
        assert f'<section id="{part}">' in page
    text = words(page)
    selection = read_json(folder / "selection.json")
    assert selection["reason"] in text
    assert "Evaporation <of> a pond" in text
    assert "On the 100 samples of the test split" in text
    assert "evaporation rate, north bank" in text
    assert "BULK" in text and "GUESS" in text
    assert "1 epoch of 500 rows, 3 epochs of 2000 rows. 500 rows rank 16 candidates as" in text
    assert "Step 1 against step 2, all 128 candidates (by a random control group of 16)" in text
    row = '<td>rank correlation at equal cost</td><td class="n"><b>0.78</b></td>'
    assert f'{row}<td class="n">0.44 to 0.93</td>' in page
    assert "Over the 5 retrained candidates alone" in text
    assert "the first of step 1 exceeds the best by 3.0 %. The" in text, "five are all"
    assert "f" * 64 in text and "a fast one" in text and 'contract = "<none>"' in text
    assert "emufort run --out 'a b'" in text  # as a shell reads it
    assert html.escape('"<none>"') in page or "&lt;none&gt;" in page
    assert len(Reader(page).images) == 1 + 3 + 3


def test_the_numbers_are_those_of_the_test_split(page: str, folder: Path, data: Dataset) -> None:
    from emufort.network.emulator import Emulator
    from emufort.skill import skill_of

    choice = read_json(folder / "selection.json")["choice"]
    emulator = Emulator.load(folder / "retrain" / choice / "weights.safetensors")
    test = data.part("test")
    skill = skill_of(test, emulator.predict(test.x))
    row = [number(skill.overall.rmse), number(skill.overall.mae), signed(skill.overall.bias)]
    assert '</td><td class="n">'.join(row) in page
    assert number(skill.columns["cooling"].rmse) in page


def test_the_headline_compares_with_the_baselines(page: str) -> None:
    text = words(page)
    assert re.search(r"reproduces evaporation rate and cooling with an RMSE of [\d.]+", text)
    assert re.search(r"BULK has [\d.]+ times the error and takes [\d.]+ times as long", text)
    assert re.search(r"GUESS has [\d.]+ times the error\.", text)


def test_the_same_run_gives_the_same_report(folder: Path, data: Dataset, page: str) -> None:
    assert write_report(folder, data).read_text() == page


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave figures empty: drawing is most of the time of a report."""
    monkeypatch.setattr(style, "svg", lambda figure: b"<svg/>")


@pytest.mark.usefixtures("quick")
def test_an_unfinished_run_is_reported_as_far_as_it_is(tmp_path: Path, data: Dataset) -> None:
    page = write_report(run_folder(tmp_path, data, unfinished=True), data).read_text()
    assert '<section id="verification">' not in page
    assert '<section id="search">' not in page
    assert data.contract.sha256 in page


@pytest.mark.usefixtures("quick")
def test_where_targets_were_searched_errors_are_called_errors(
    folder: Path, tmp_path: Path, data: Dataset, page: str
) -> None:
    assert "The loss differs between seeds" in words(page)
    assert "The loss of every candidate" in words(page)
    folder = shutil.copytree(folder, tmp_path / "run")
    path = folder / "retrain" / "candidates.csv"
    choice = read_json(folder / "selection.json")["choice"]
    mine = {"target": "evaporation_rate=ln"}
    other = {"target": "evaporation_rate=standardise"}
    rows = [row | (mine if row["id"] == choice else other) for row in read_csv(path)]
    write_csv(path, rows, tuple(rows[0]))
    path = folder / "retrain" / "agreement.json"
    write_json(path, {**read_json(path), "compares": "RMSE of evaporation_rate, cooling"})
    text = words(write_report(folder, data).read_text())
    assert "The error differs between seeds" in text
    assert "The error of every candidate" in text
    assert "The loss" not in text
    # Losses of other targets are on another scale.
    run = gather(folder, data)
    assert (run.measure, [curve.id for curve in run.curves]) == ("error", [choice])
    figure = plots.agreement(run.agreement["pairs"], None, run.measure)
    assert figure.axes[0].get_ylabel() == "validation error, retrained"
    figure = plots.predictions(run.predictions, None, run.measure)
    assert figure.axes[0].get_ylabel() == "validation error after step 2"


@pytest.mark.usefixtures("quick")
def test_a_run_of_an_earlier_version_is_reported(
    folder: Path, tmp_path: Path, data: Dataset
) -> None:
    folder = shutil.copytree(folder, tmp_path / "run")
    (folder / "retrain" / "predictions.csv").unlink()
    path = folder / "retrain" / "agreement.json"
    write_json(path, old_agreement(read_json(path)["pairs"]))
    write_json(folder / "search" / "search.json", {"trials": 128})
    page = write_report(folder, data).read_text()
    text = words(page)
    assert "Over the 5 retrained candidates alone: rank correlation 0.90" in text
    assert "control group" not in text and "rung" not in text
    assert len(Reader(page).images) == 1 + 3 + 2
    assert legend_of(plots.agreement(read_json(path)["pairs"], 1)) == ["retrained", "choice"]


@pytest.mark.usefixtures("quick")
def test_a_search_that_ranks_by_chance_is_called_so(
    folder: Path, tmp_path: Path, data: Dataset
) -> None:
    folder = shutil.copytree(folder, tmp_path / "run")
    path = folder / "retrain" / "agreement.json"
    content = read_json(path)
    content["all_candidates"] |= {"verdict": "Step 1 <may> rank by chance: raise search.share."}
    write_json(path, content)
    page = write_report(folder, data).read_text()
    assert (
        '<p class="bad"><b>Step 1 &lt;may&gt; rank by chance: raise search.share.</b></p>' in page
    )
    # A control group that is too small tells nothing, and that is said.
    content["all_candidates"] |= {"control_group": 0, "verdict": ""} | dict.fromkeys(
        ("spearman", "spearman_at_equal_cost", "spearman_of_cost_alone")
    )
    write_json(path, content)
    text = words(write_report(folder, data).read_text())
    assert "A control group of 0 is too small to say" in text
    assert "rank correlation at equal cost" not in text
    assert "expected regret of the lowest loss" in text


def legend_of(figure: Figure) -> list[str]:
    legend = figure.axes[0].get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def test_figures_tell_the_kinds_of_candidates_apart(folder: Path, data: Dataset) -> None:
    run = gather(folder, data)
    for choice, kinds in ((3, ["control", "front", "choice"]), (None, ["control", "front"])):
        figure = plots.agreement(run.agreement["pairs"], choice)
        assert legend_of(figure) == [plots.LABELS[kind] for kind in kinds]
        drawn = figure.axes[0].collections
        assert [len(points.get_offsets()) for points in drawn] == [2, 2, 1] if choice else [2, 3]
        assert len({points.get_facecolor().tobytes() for points in drawn}) == len(drawn)
    # A choice from the control group is the choice.
    drawn = plots.agreement(run.agreement["pairs"], 0).axes[0].collections
    assert [len(points.get_offsets()) for points in drawn] == [1, 3, 1]
    figure = plots.predictions(run.predictions, 3)
    assert legend_of(figure) == ["trained", "choice", "predicted, 90 % interval"]


@pytest.mark.parametrize("text", ["trial\n1\n", "trial,multiply_adds,loss,low,high,trained\nx\n"])
def test_a_damaged_table_of_predictions_is_one_line(
    folder: Path, tmp_path: Path, data: Dataset, text: str
) -> None:
    folder = shutil.copytree(folder, tmp_path / "run")
    (folder / "retrain" / "predictions.csv").write_text(text)
    with pytest.raises(EmufortError, match=r"predictions\.csv"):
        gather(folder, data)


@pytest.mark.usefixtures("quick")
def test_of_many_test_samples_some_are_drawn_and_all_are_judged(
    folder: Path, data: Dataset, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = gather(folder, data)
    monkeypatch.setattr("emufort.report.gather.MOST_ROWS", 40)
    monkeypatch.setattr("emufort.skill.SKILL_BLOCK", 16)
    monkeypatch.setattr("emufort.report.gather.SKILL_BLOCK", 16)
    part = gather(folder, data)
    assert part.rows == whole.rows == 100
    for name, skill in whole.skills.items():
        assert vars(part.skills[name].overall) == pytest.approx(vars(skill.overall), rel=1e-11)
    for few, many in zip(part.columns, whole.columns, strict=True):
        order = np.argsort(many.true)
        places = order[np.searchsorted(many.true[order], few.true)]
        assert len(few.true) == len(few.predicted) == 40
        assert np.array_equal(many.true[places], few.true)
        # a product of matrices may round a row differently in another block
        assert few.predicted == pytest.approx(many.predicted[places], rel=1e-11)
    text = words(write_report(folder, data).read_text())
    assert "40 of the test samples, drawn at random" in text
    assert "On the 100 samples of the test split" in text
    assert "drawn at random" not in words(page)


@pytest.mark.usefixtures("quick")
def test_a_failed_verification_shows(folder: Path, tmp_path: Path, data: Dataset) -> None:
    folder = shutil.copytree(folder, tmp_path / "run")
    content = read_json(folder / "verification.json")
    content["passed"] = False
    content["comparisons"][1] |= {"passed": False, "worst": "cooling in row 7", "skipped": None}
    write_json(folder / "verification.json", content)
    text = words(write_report(folder, data).read_text())
    assert "failed: cooling in row 7" in text
    assert "agree," not in text


@pytest.mark.usefixtures("quick")
def test_a_run_that_is_not_verified_says_so(folder: Path, tmp_path: Path, data: Dataset) -> None:
    folder = shutil.copytree(folder, tmp_path / "run")
    content = read_json(folder / "verification.json")
    reason = "not verified: there is no Fortran compiler 'gfortran'"
    write_json(
        folder / "verification.json",
        {**content, "passed": False, "status": "not verified", "reason": reason},
    )
    page = write_report(folder, data)
    text = words(page.read_text())
    assert reason in text
    assert "double precision: not verified." in text
    assert "failed" not in text


def test_a_run_without_a_choice_is_refused(tmp_path: Path, data: Dataset) -> None:
    with pytest.raises(EmufortError, match=r"selection\.json"):
        write_report(tmp_path, data)
    folder = run_folder(tmp_path / "run", data, seeds=1, unfinished=True)
    (folder / "selection.json").write_text(json.dumps({"rule": "knee"}))
    with pytest.raises(EmufortError, match="names no choice"):
        write_report(folder, data)


def test_the_pareto_figure_stands_alone(folder: Path) -> None:
    figure = plots.pareto(read_json(folder / "selection.json"))
    assert style.png(figure).startswith(b"\x89PNG")
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    selection = read_json(folder / "selection.json")
    choice = next(e["label"] for e in selection["all"] if e["id"] == selection["choice"])
    assert {f"choice: {choice}", "BULK", "GUESS (not timed)"} <= set(names)
    # names are beside the axes, so they cover no point
    assert not figure.axes[0].texts and figure.axes[0].get_legend() is None
    figure.draw_without_rendering()
    assert not legend.get_window_extent().overlaps(figure.axes[0].get_tightbbox())


def test_every_baseline_has_a_colour_and_a_marker_of_its_own(folder: Path) -> None:
    selection = read_json(folder / "selection.json")
    several = [{"name": f"scheme {k}", "rmse": 0.1, "ns_per_sample": 100.0 + k} for k in range(20)]
    (axes,) = plots.pareto({**selection, "baselines": several}).axes
    drawn = [points for points in axes.collections if str(points.get_label()).startswith("scheme")]
    looks = {
        (tuple(points.get_facecolor()[0]), points.get_paths()[0].vertices.tobytes())
        for points in drawn
    }
    assert len(drawn) == len(looks) == len(several)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("which", ["all", "baselines", "everything"])
def test_an_error_of_zero_can_be_drawn(folder: Path, which: str) -> None:
    selection = read_json(folder / "selection.json")
    for kind in ("all", "front", "baselines"):
        for entry in selection[kind]:
            chosen = entry.get("id") == selection["choice"]
            if which in (kind, "everything") or (which == "all" and kind == "front" and chosen):
                entry["rmse"] = 0.0
    figure = plots.pareto(selection, normalised=True)
    assert style.svg(figure).startswith(b"<?xml")
    low, high = figure.axes[0].get_ylim()
    assert 0 < low < high
    assert "standard deviations" in figure.axes[0].get_ylabel()


@pytest.mark.filterwarnings("error")
def test_a_perfect_baseline_is_reported(tmp_path: Path, data: Dataset) -> None:
    perfect = dataclasses.replace(
        data, baselines={**data.baselines, "GUESS": data.y[:, :2]}, parent=None
    )
    # What its head makes of it is right for one output only.
    folder = run_folder(tmp_path / "run", perfect)
    selection = read_json(folder / "selection.json")
    selection["baselines"][1]["rmse"] = 0.0
    write_json(folder / "selection.json", selection)
    run = dataclasses.replace(gather(folder, perfect))
    flawless = Score(0.0, 0.0, 0.0, float("nan"), 100)
    skills = {**run.skills, "GUESS": Skill(flawless, run.skills["GUESS"].columns)}
    text = words(render(dataclasses.replace(run, skills=skills)))
    assert "GUESS has no error" in text
    skills["emulator"] = Skill(flawless, run.skills["emulator"].columns)
    text = words(render(dataclasses.replace(run, skills=skills)))
    assert "BULK has an RMSE of" in text


@pytest.mark.parametrize("value", [1.0, 0.0, 1e30, 1e-30])
@pytest.mark.parametrize("logarithmic", [False, True])
def test_a_constant_column_can_be_drawn(logarithmic: bool, value: float) -> None:
    values = np.full(5, value)
    column = Column("c", "K", values, values, logarithmic and value > 0)
    assert style.svg(plots.density(column)).startswith(b"<?xml")


def test_numbers_for_people() -> None:
    assert number(0.0035999) == "0.00360"
    assert number(60.04) == "60.0"
    assert number(1234.5) == "1\u202f234"
    assert number(8.1e-7, 2) == "8.1×10⁻⁷"
    assert number(None) == number(float("nan")) == "–"
    assert number(0) == "0"
    assert (signed(0.01), signed(-0.01)) == ("+0.0100", "−0.0100")
    assert (r2(0.95), r2(0.999961), r2(-2.9), r2(None)) == ("0.950", "0.99996", "−2.900", "–")
    assert (duration(3.14), duration(600), duration(9000)) == ("3.1 s", "10 min", "2.5 h")
