"""Tables, progress and messages on terminals of any width, in logs, and as JSON."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from emufort import cli, screen
from emufort.cli import single_steps, whole_run
from emufort.config import Config
from emufort.files import read_csv, read_json, write_csv, write_json
from emufort.run import display
from emufort.run.folder import RunFolder
from emufort.run.pipeline import Run
from emufort.run.step_display import StepDisplay, about, bars_on, fitting
from emufort.screen import Table, wrapped
from emufort.steps import STEP_NAMES, titles
from tests.conftest import SYNTHETIC_CONFIG, SYNTHETIC_CONTRACT, synthetic_data

WIDTHS = (40, 60, 80, 200, None)
#: Titles where step 2 is the only step.
RETRAIN = titles(Config(), ("retrain",))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("display")
    (folder / "evaporation.toml").write_text(SYNTHETIC_CONTRACT)
    text = SYNTHETIC_CONFIG.replace("trials = 8", "trials = 4").replace("top = 3", "top = 2")
    text = text.replace("workers = 2", "workers = 1").replace("width = [4, 8]", "width = [32]")
    text = text.replace("depth = [1, 2]", "depth = [5, 6]").replace("steps = 400", "steps = 60")
    (folder / "run.toml").write_text(text)
    synthetic_data().to_netcdf(folder / "evaporation.nc")
    assert cli.execute(["run", str(folder / "run.toml"), "--out", str(folder / "out"), "-q"]) == 0
    return Run.open(RunFolder(folder / "out"), Config.load(folder / "run.toml"))


def screen_of(width: int | None) -> Console:
    """Return a terminal of that width that remembers what it shows; None stands for a log."""
    if width is None:
        return Console(file=io.StringIO(), highlight=False, width=screen._LOG_WIDTH)
    return Console(
        file=io.StringIO(), force_terminal=True, width=width, highlight=False, color_system=None
    )


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    most = console.width
    assert all(len(line) <= most for line in text.splitlines()), f"wider than {most} columns"
    return text


def numbers(text: str) -> set[str]:
    """Return the numbers of a text; "15-32-1" holds three."""
    return set(re.findall(r"(?<![\d.])\d+(?:\.\d+)?(?:e[+-]\d+)?(?![\d.])", text))


def test_a_limit_of_the_time_does_not_cover_candidates_of_the_user(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = RunFolder(shutil.copytree(run.folder.path, tmp_path / "copy"))
    summary = read_json(copy.search / "search.json")
    summary["config"]["search"]["max_ns"] = 50.0
    summary["cost_model"] = {"n": 24, "source": "times.csv", "error": 0.05}
    write_json(copy.search / "search.json", summary)
    enqueued = Config.from_dict({"search": {"enqueue": [{"hidden": [99], "activation": "relu"}]}})
    shown = []
    for config in (run.config, enqueued):
        console = screen_of(None)
        monkeypatch.setattr(display, "_console", lambda console=console: console)
        display.closing(replace(run, folder=copy, config=config), ("search",))
        shown.append(text_of(console))
    assert "All of them cost at most 50 ns" in shown[0]
    assert "All candidates of the sampler cost at most 50 ns" in shown[1]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("step", STEP_NAMES)
def test_every_number_is_complete_or_its_column_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, step: str, width: int | None
) -> None:
    """A log shows all of it; a terminal shows no number that the log does not show."""
    # The path of the run is as long as it is, and no number; a narrow terminal folds it anywhere.
    folder = re.compile(r"\s*".join(map(re.escape, str(run.folder.path))))
    shown = {}
    for w in (None, width):
        console = screen_of(w)
        monkeypatch.setattr(display, "_console", lambda console=console: console)
        display.closing(run, STEP_NAMES if step == "report" else (step,))
        shown[w] = folder.sub("", text_of(console)).replace("\n", " \n")
    log, text = shown[None], shown[width]
    path = re.compile(r"\S*pytest\S*|display\d+\S*")
    assert numbers(path.sub("", text)) <= numbers(path.sub("", log)) | {str(width)}
    if "left out" not in text and "pytest" not in text:
        assert numbers(path.sub("", text)) == numbers(path.sub("", log))
    assert "…" not in text


def test_a_log_has_every_digit(run: Run) -> None:
    """Without a terminal nothing is cut, whatever COLUMNS says."""
    done = subprocess.run(
        [sys.executable, "-m", "emufort.cli", "time", "--out", str(run.folder.path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        env={**os.environ, "COLUMNS": "30"},
    )
    for row in read_csv(run.folder.timing):
        line = next(
            line
            for line in done.stdout.splitlines()
            if row["id"] in line and f" {row['ncol']} " in line
        )
        assert f"{float(row['ns_per_sample']):.3g}" in line


@pytest.mark.parametrize("width", [40, 80])
def test_on_a_real_terminal(run: Run, width: int) -> None:
    """The command asks the terminal how wide it is."""
    import fcntl
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "emufort.cli", "retrain", "--out", str(run.folder.path)],
        stdout=theirs,
        stdin=theirs,
        stderr=subprocess.STDOUT,
        env={**environment, "TERM": "xterm"},
    )
    os.close(theirs)
    text = b""
    try:
        while part := os.read(ours, 65536):
            text += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait(timeout=300) == 0
    seen = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.decode())
    assert "1/1" in seen
    for row in read_csv(run.folder.retrain / "candidates.csv"):
        assert f"{float(row['rmse']):.4g}" in seen


labels = st.lists(st.integers(1, 4096), min_size=1, max_size=20).map(
    lambda widths: "-".join(map(str, widths)) + " squared_relu"
)
cells = st.floats(1e-30, 1e30).map(lambda x: f"{x:.4g}")


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(labels, cells, cells, cells), min_size=1, max_size=4),
    width=st.integers(20, 200),
)
def test_tables_of_any_size(rows: list[tuple[str, ...]], width: int) -> None:
    names = ["network", "RMSE", "ns per sample", "learning rate"]
    table = Table("Table", names)
    for row in rows:
        table.add(*row)
    console = screen_of(width)
    console.print(table)
    text = text_of(console)
    words = " ".join(re.sub("[┃│┏┓┗┛┡┩╇┳━─└┘┴├┤┼]", " ", text).split())
    for row in rows:
        for name, cell in zip(names[1:], row[1:], strict=True):
            shown = cell in words.split() or f"{cell};" in words
            missing = words.partition("(left out to fit the width: ")[2]
            assert shown or name in missing
    assert all(n in numbers(text) for row in rows for n in numbers(row[0].split()[0]))


@given(text=st.text("ab1 -/e", max_size=40), width=st.integers(1, 50))
def test_wrapping_loses_nothing_but_spaces(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert re.sub(r"\s", "", lines) == re.sub(r"\s", "", text)


def test_an_exponent_is_not_broken() -> None:
    assert wrapped("1.2e-05", 3) == "1.2e-05"
    assert wrapped("128-64 relu", 4).split("\n") == ["128-", "64", "relu"]


# ------------------------------------------------------------------------------ progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def lines_of(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_log_gets_a_line_a_minute_with_the_time_left() -> None:
    console, clock = screen_of(None), Clock()
    shown = StepDisplay(bars_on(console), console, RETRAIN, clock)
    shown.begin("retrain")
    for second in range(1, 181):
        clock.now = float(second)
        shown("retrain", 24 * second / 600, 24, "8-8-1 relu, RMSE 1.20e-03", 600.0 - second)
    assert lines_of(console) == [
        "[1/1] retrain: all data",
        "    2 of 24 (10 %), 8-8-1 relu, RMSE 1.20e-03, about 9 min left",
        "    4 of 24 (20 %), 8-8-1 relu, RMSE 1.20e-03, about 8 min left",
        "    7 of 24 (30 %), 8-8-1 relu, RMSE 1.20e-03, about 7 min left",
    ]


def test_without_an_estimate_the_display_makes_its_own() -> None:
    console, clock = screen_of(None), Clock()
    shown = StepDisplay(bars_on(console), console, titles(Config(), ("time",)), clock)
    shown.begin("time")
    shown("time", 3, 9)  # a step that goes on: these three were done before
    clock.now = 100.0
    shown("time", 5, 9)
    assert lines_of(console)[-1] == "    5 of 9 (56 %), about 3 min left"


@given(calls=st.lists(st.tuples(st.floats(0.0, 50.0), st.integers(0, 40)), min_size=1, max_size=8))
def test_a_total_that_changes_leaves_the_bar_whole(calls: list[tuple[float, int]]) -> None:
    """Step 2 learns from round to round how many trainings there are."""
    console, clock = screen_of(None), Clock()
    bars = bars_on(console)
    shown = StepDisplay(bars, console, RETRAIN, clock)
    shown.begin("retrain")
    for done, total in calls:
        clock.now += 61.0
        shown("retrain", done, total)
        (task,) = bars.tasks
        assert task.total == total
        assert 0 <= task.completed <= total
        left = shown._estimated(done, total, clock.now)
        assert left is None or left >= 0
    told = " ".join(lines_of(console))
    assert "-" not in told
    assert all(int(percent) <= 100 for percent in re.findall(r"\((\d+) %\)", told))


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_bars_cut_no_number(width: int) -> None:
    console, clock = screen_of(width), Clock()
    note = "15-32-32-8-1 silu evaporation_rate=ln, RMSE 1.23e-03"
    with bars_on(console) as bars:
        shown = StepDisplay(bars, console, titles(Config(), STEP_NAMES), clock)
        shown.begin("retrain")
        clock.now = 3723.0
        shown("retrain", 1234.4, 4321, note, 5000.0)
        bars.refresh()
    seen = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", "\n".join(lines_of(console)))
    last = seen.rsplit("[2/7]", 1)[1]
    assert "1234/4321" in last
    assert "1:02:03" in last
    assert ("about 83 min left" in last) == (width >= 70)
    assert ("RMSE 1.23e-03" in last) == (width >= 100)
    assert "…" not in seen


def test_words_for_times_and_notes() -> None:
    assert [about(s) for s in (0.2, 89, 200, 3 * 3600, 86400)] == [
        "about 1 s",
        "about 89 s",
        "about 3 min",
        "about 3.0 h",
        "about 24.0 h",
    ]
    assert fitting("a long label, loss 1.2e-03", 12) == "loss 1.2e-03"
    assert fitting("a long label, loss 1.2e-03", 11) == ""


# -------------------------------------------------------------------------------- options


@pytest.fixture(autouse=True)
def loud() -> Iterator[None]:
    yield
    screen.be_quiet(False)


def printed(run: Run, monkeypatch: pytest.MonkeyPatch, folder: Path, steps: tuple[str, ...]) -> str:
    """Return what a run in a copy of its folder prints at its end."""
    console = screen_of(None)
    monkeypatch.setattr(display, "_console", lambda: console)
    display.closing(Run(RunFolder(folder), run.config, run.data), steps)
    return text_of(console)


@pytest.mark.parametrize("steps", [("retrain",), STEP_NAMES])
def test_what_step_1_foretold_is_printed(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, steps: tuple[str, ...]
) -> None:
    folder = shutil.copytree(run.folder.path, tmp_path / "out")
    path = folder / "retrain" / "agreement.json"
    content = read_json(path)
    # Of four candidates two are the control group, which is too small.
    assert (content["all_candidates"]["n"], content["all_candidates"]["control_group"]) == (4, 2)
    text = printed(run, monkeypatch, folder, steps)
    assert "rank correlation at equal cost" not in text
    assert "expected regret of the lowest loss" in text
    assert "Warning" not in text
    interval = {"value": 0.123, "low": -0.234, "high": 0.345}
    names = ("spearman", "spearman_at_equal_cost", "spearman_of_cost_alone")
    content["all_candidates"] |= dict.fromkeys(names, interval)
    content["all_candidates"] |= {"verdict": "Step 1 may rank by chance: raise search.share."}
    write_json(path, content)
    text = printed(run, monkeypatch, folder, steps)
    assert "rank correlation at equal cost" in text
    assert "0.12" in text
    assert "-0.23 to 0.34" in text
    assert "Warning: Step 1 may rank by chance: raise search.share." in text
    # Nothing is known of all candidates in a run of an earlier version, or nothing at all.
    old = {"compares": content["compares"], **content["retrained"], "seed_spread": None}
    write_json(path, old)
    assert "control group" not in printed(run, monkeypatch, folder, steps)
    path.unlink()
    assert "rank correlation" not in printed(run, monkeypatch, folder, steps)


def test_a_small_control_group_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(run, monkeypatch, run.folder.path, ("retrain",))
    assert "A control group of 2 is too small to say how well step 1 ranks" in text


def test_the_rungs_of_step_1_are_printed(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = shutil.copytree(run.folder.path, tmp_path / "out")
    words = "Step 1 trained in 2 rungs: 1 epoch of 128 rows, 4 epochs of 128 rows."
    for steps in (("search",), STEP_NAMES):
        assert words in printed(run, monkeypatch, folder, steps)
    path = folder / "search" / "search.json"
    write_json(path, {**read_json(path), "subset_reason": "128 rows are all training rows"})
    assert f"{words} 128 rows are all training rows." in printed(
        run, monkeypatch, folder, ("search",)
    )


def test_the_best_of_step_1_are_those_that_it_ranks_first(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A candidate that was stopped early may have a lower loss on the way than the best one."""
    folder = shutil.copytree(run.folder.path, tmp_path / "out")
    path = folder / "search" / "trials.csv"
    rows = read_csv(path)
    for row, rank in zip(rows, (3, 1, 4, 2), strict=True):
        row["predicted_rank"] = str(rank)
        row["learning_rate"] = f"0.{rank}"
    write_csv(path, rows, tuple(rows[0]))
    text = printed(run, monkeypatch, folder, ("search",))
    assert re.findall(r" 0\.[1-4] ", text) == [" 0.1 ", " 0.2 ", " 0.3 ", " 0.4 "]
    order = "The order is that of the loss at the last rung, which is predicted for candidates"
    assert len({row["epochs"] for row in rows}) == 2
    assert order in text
    for row in rows:
        row["epochs"] = "4"
    write_csv(path, rows, tuple(rows[0]))
    assert order not in printed(run, monkeypatch, folder, ("search",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--top", "0"], "retrain.top: Input should be a whole number from 1, or 'auto'"),
        (["retrain", "--top", "all"], "retrain.top: Input should be a whole number, or 'auto'"),
        (["search", "--subset", "15"], "search.subset: Input should be a whole number from 16"),
        (["search", "--subset", "1e3"], "search.subset: Input should be a whole number, or"),
    ],
)
def test_a_number_or_auto(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute([*arguments, "--out", str(tmp_path / "out")]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert repr(arguments[2]) in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("given", "value"), [("auto", "auto"), ("24", 24)])
def test_a_number_or_auto_reaches_the_configuration(
    given: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Config] = []
    for module in (single_steps, whole_run):
        monkeypatch.setattr(
            module, "carry_out", lambda steps, config, out, log=None: found.append(config)
        )
    assert cli.execute(["run", "--top", given, "--out", str(tmp_path)]) == 0
    assert cli.execute(["search", "--subset", given, "--out", str(tmp_path)]) == 0
    assert (found[0].retrain.top, found[1].search.subset) == (value, value)


def test_quiet_commands_print_nothing(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("run", "search", "retrain", "time", "select", "export", "verify", "report"):
        assert cli.execute([name, "--out", str(run.folder.path), "-q"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert cli.execute(["select", "--out", str(run.folder.path)]) == 0
    assert "Pareto front" in capsys.readouterr().out


def json_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert cli.execute(list(arguments)) == 0
    return json.loads(capsys.readouterr().out)


def test_results_as_json(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(run.folder.path)
    assert json_of(capsys, "select", "--out", out, "--json") == read_json(run.folder.selection)
    found = json_of(capsys, "verify", "--out", out, "--json")
    assert found == read_json(run.folder.verification)
    assert found["passed"]
    bundle = json_of(capsys, "verify", "--bundle", str(run.folder.bundle), "--rows", "9", "--json")
    assert bundle["rows"] < found["rows"]
    check = json_of(capsys, "check", str(run.folder.path.parent / "run.toml"), "--json")
    assert (check["contract"], check["inputs"], check["outputs"]) == ("evaporation", 3, 2)
    assert (check["rows"], check["constant"]) == (600, [])
    status = json_of(capsys, "status", "--out", out, "--json")
    assert (status["state"], len(status["steps"])) == ("finished", 7)


def test_a_failed_verification_is_json_too(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run.folder.bundle, tmp_path / "bundle")
    with open(tmp_path / "bundle" / "model.onnx", "ab") as stream:
        stream.write(b"x")
    assert cli.execute(["verify", "--bundle", str(tmp_path / "bundle"), "--json"]) == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out)["passed"] is False
    assert captured.err.count("\n") == 1
