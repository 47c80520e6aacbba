"""Help, version, completion and typing errors on the command line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import emufort
from emufort import cli


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["--version"]) == 0
    assert capsys.readouterr().out == f"emufort {emufort.__version__}\n"


@pytest.mark.parametrize(
    "name", [command.name or command.callback.__name__ for command in cli.app.registered_commands]
)
def test_short_help_of_every_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute([name, "-h"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: emufort {name}") or f" {name} [OPTIONS]" in text
    assert "--help" in text


def test_completion_for_a_shell() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "emufort.cli", "--show-completion", "bash"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "complete" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["serach"], "search"),
        (["run", "--trails", "3"], "--trials"),
        (["select", "--rule", "kneee"], "knee"),
        (["export", "--host", "cmie"], "cime"),
    ],
)
def test_a_typing_error_is_answered_with_what_was_meant(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(arguments) == 2
    err = capsys.readouterr().err
    assert hint in err
    assert err.count("\n") == 1


def test_without_arguments_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute([]) == 0
    assert "Commands:" in capsys.readouterr().out
