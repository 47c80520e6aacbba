"""Spoilt contracts, data and configurations: each ends with an exit code and one clear line.

What `emufort check` lets pass runs through all steps and ends verified; a seeded part of it is run.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emufort.files import read_json
from tests.robustness.mutations import CONFIG, CONTRACT, spoil_file, spoil_table, write_case

#: Kind -> number of cases, and the least and largest number of them that pass a check: a change of
#: the mutations that makes all of them good, or bad at first sight, would test nothing.
CASES = {"contract": (300, 15, 150), "data": (250, 25, 200), "config": (200, 15, 120)}
#: Cases of each kind that are run through all steps; that are checked by a command of their own.
RUN, ALONE = 6, 4


class Worker:
    """Runs commands one after the other in one process; replaced when it dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None

    def __call__(self, *arguments: str) -> tuple[int, str]:
        """Return exit code and standard error of a command."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("case_worker.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=self._folder,
            )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            died = self._process.wait()
            self._process = None
            return died, "the process died"
        found = json.loads(line)
        return int(found["code"]), str(found["stderr"])

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_case(tmp_path)
    return tmp_path


@pytest.fixture
def worker(folder: Path) -> Iterator[Worker]:
    found = Worker(folder)
    yield found
    found.stop()


def spoilt(folder: Path, kind: str, number: int) -> list[str]:
    """Write a spoilt file; return the arguments that name it."""
    rng = np.random.default_rng([number, sorted(CASES).index(kind)])
    if kind == "data":
        spoil_file(folder / f"data{number}.nc", rng)
        return ["run.toml", "--data", f"data{number}.nc"]
    name = f"{kind}{number}.toml"
    (folder / name).write_text(spoil_table(CONTRACT if kind == "contract" else CONFIG, rng))
    return ["run.toml", "--contract", name] if kind == "contract" else [name]


def is_clear(code: int, said: str) -> bool:
    if code == 0:
        return said == ""
    return (
        code in (1, 2)
        and said.startswith("error: ")
        and said.count("\n") == 1
        and said.endswith("\n")
        and "internal error" not in said
        and len(said) < 2000
    )


def test_the_case_itself_passes(worker: Worker) -> None:
    assert worker("check", "run.toml") == (0, "")


@pytest.mark.parametrize("kind", sorted(CASES))
def test_a_few_spoilt_files_end_with_one_clear_line(
    folder: Path, worker: Worker, kind: str
) -> None:
    for number in range(1_000_000, 1_000_012):
        code, said = worker("check", *spoilt(folder, kind, number))
        assert is_clear(code, said), (number, code, said)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", sorted(CASES))
def test_spoilt_files_end_with_one_clear_line_or_verified(
    folder: Path, worker: Worker, kind: str
) -> None:
    n, least, most = CASES[kind]
    passed, bad = [], {}
    for number in range(n):
        arguments = spoilt(folder, kind, number)
        code, said = worker("check", *arguments)
        if not is_clear(code, said):
            bad[number] = code, said
        elif code == 0:
            passed.append(arguments)
    assert bad == {}
    assert least <= len(passed) <= most
    chosen: list[list[str]] = [
        passed[i] for i in np.random.default_rng(7).choice(len(passed), RUN, replace=False)
    ]
    for arguments in chosen:
        out = folder / "out"
        code, said = worker("run", *arguments, "--out", str(out))
        assert (code, said) == (0, ""), arguments
        assert read_json(out / "verification.json")["passed"], arguments
        shutil.rmtree(out)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", sorted(CASES))
def test_a_command_of_its_own_says_the_same(folder: Path, worker: Worker, kind: str) -> None:
    for number in range(ALONE):
        arguments = spoilt(folder, kind, number)
        done: Any = subprocess.run(
            [sys.executable, "-m", "emufort.cli", "check", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert (done.returncode, done.stderr) == worker("check", *arguments)
