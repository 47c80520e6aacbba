"""An untrusted run folder: nothing in it is executed, and nothing outside of it is modified."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from emufort.config import Config, TimingConfig
from emufort.files import read_json, write_json
from emufort.provenance import file_sha256
from emufort.run.finished import fingerprint
from emufort.run.record import read_record, write_record
from emufort.run.untrusted_options import EXECUTED, first_untrusted
from emufort.toolchain.compiler import Compiler
from emufort.toolchain.flags import DEFAULT_FLAGS
from tests.pipeline.runs import emufort

needs_gfortran = pytest.mark.skipif(
    shutil.which("gfortran") is None, reason="needs a Fortran compiler"
)


@pytest.fixture
def folder(uninterrupted: Path, tmp_path: Path) -> Path:
    """Return a copy of a finished run whose every file the test may forge."""
    return Path(shutil.copytree(uninterrupted / "out", tmp_path / "out"))


def forge(folder: Path, timing: dict[str, str], unfinished: tuple[str, ...] = ()) -> None:
    """Change options of the timing such that the folder's own hashes agree."""
    record = read_record(folder / "steps.json")
    content: dict[str, Any] = record["config"]
    content["timing"].update(timing)
    config = Config.from_dict(content)
    (folder / "config.toml").write_text(tomli_w.dumps(content))
    for step, entry in record["steps"].items():
        entry["fingerprint"] = fingerprint(step, config, entry["inputs"])
    for step in unfinished:
        del record["steps"][step]
    write_record(folder / "steps.json", record)


def trap(path: Path, sentinel: Path) -> Path:
    """Write a compiler that works and leaves a trace."""
    path.write_text(f'#!/bin/sh\ntouch "{sentinel}"\nexec gfortran "$@"\n')
    path.chmod(0o755)
    return path


@needs_gfortran
def test_a_compiler_that_only_the_folder_names_is_not_run(folder: Path, tmp_path: Path) -> None:
    sentinel = tmp_path / "ran"
    compiler = str(trap(folder / "gfortran", sentinel))
    forge(folder, {"compiler": compiler}, ("verify", "report"))
    (folder / "provenance.json").unlink()
    for step in ("status", "select", "export"):
        done = emufort(step, "--out", folder)
        assert done.returncode == 0, done.stderr
    assert read_json(folder / "provenance.json")["compiler"] is None
    done = emufort("verify", "--out", folder)
    assert done.returncode == 2
    assert "only if you give it yourself" in done.stderr and len(done.stderr.splitlines()) == 1
    assert not sentinel.exists()

    # whoever asks for it gets it
    own = tmp_path / "own.toml"
    shutil.copy(folder / "config.toml", own)
    done = emufort("run", own, "--out", folder)
    assert done.returncode == 0, done.stderr
    assert sentinel.exists()


@needs_gfortran
def test_flags_that_load_something_are_not_taken_from_the_folder(
    folder: Path, tmp_path: Path
) -> None:
    sentinel = tmp_path / "ran"
    wrapper = trap(tmp_path / "wrapper", sentinel)
    forge(folder, {"flags": f"-O1 -wrapper {wrapper}"}, ("verify", "report"))
    done = emufort("verify", "--out", folder)
    assert done.returncode == 2 and "timing.flags requests '-wrapper'" in done.stderr
    forge(folder, {"compiler": "gfortran"}, ("time", "select", "export"))
    done = emufort("time", "--out", folder)
    assert done.returncode == 2 and "timing.flags requests '-wrapper'" in done.stderr
    assert not sentinel.exists()
    done = emufort("time", "--flags=-O1", "--out", folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "flag",
    [
        "-fplugin=evil", "-fplugin=./e.so", "-fpass-plugin=e.so", "-specs=s", "--specs=s",
        "-Bdir", "-B", "-wrapper", "@file", "e.o", "libe.so", "-L.", "-le", "-Wl,-plugin,e",
        "-Xlinker", "-fuse-ld=e", "-Dreturn=call x", "-I.", "-include", "-mllvm", "-Xclang",
        "-o", "-xassembler", "-imacros", "-fprofile-use=/x", "-fc1", "-Wa,@x", "-Wp,-include,x",
        "-J/x", "-T", "", "-O2\n@x", "-fpre-include=x",
    ],
)  # fmt: skip
def test_dangerous_flags(flag: str) -> None:
    timing = TimingConfig(flags=f"-O2 {shlex.quote(flag)}")
    assert first_untrusted(timing, EXECUTED) == f"timing.flags requests {flag!r}"
    assert first_untrusted(timing, ("compiler",)) is None  # as the user gave the flags


@pytest.mark.parametrize(
    "compiler",
    ["sh", "python3", "env", "./gfortran", "../gfortran", "/x/gfortran", "gfortran -wrapper x",
     "gfortran;x", "gfortran\u2044x", "gfortran-13/x"],
)  # fmt: skip
def test_programs_that_are_no_compilers(compiler: str) -> None:
    assert first_untrusted(TimingConfig(compiler=compiler), EXECUTED) is not None


def test_what_a_folder_may_ask_for() -> None:
    assert first_untrusted(TimingConfig(), EXECUTED) is None
    found = shutil.which("gfortran")
    for compiler in ("gfortran-13", "flang-new-22", "x86_64-linux-gnu-gfortran-12", "ifx", found):
        assert first_untrusted(TimingConfig(compiler=compiler or "gfortran"), EXECUTED) is None
    for flags in (DEFAULT_FLAGS, "-Ofast -g -Wall -std=f2018 -xHost -flto -mavx512f -fcheck=all"):
        assert first_untrusted(TimingConfig(flags=flags, baseline_flags=flags), EXECUTED) is None


@needs_gfortran
def test_a_program_that_came_with_a_folder_is_not_run(tmp_path: Path) -> None:
    source, sentinel = tmp_path / "hello.f90", tmp_path / "ran"
    source.write_text("print *, 'hello'\nend\n")
    compiler = Compiler.find("gfortran")
    program = compiler.build([source], "-O1", tmp_path / "work" / "hello")
    stamp = program.with_name(".hello.build.json")
    before = program.stat().st_ino
    assert compiler.build([source], "-O1", program).stat().st_ino == before  # not compiled again

    # the stranger knows all that the key is made of
    copy = Path(shutil.copytree(program.parent, tmp_path / "stranger")) / "hello"
    trap(copy, sentinel)
    forged = {**json.loads(stamp.read_text()), "sha256": file_sha256(copy)}
    for kept in (("key", "sha256", "file", "compiler"), ("key", "sha256", "compiler")):
        write_json(copy.with_name(stamp.name), {name: forged[name] for name in kept})
        compiler.build([source], "-O1", copy)
        assert copy.read_bytes().startswith(b"\x7fELF")
        trap(copy, sentinel)
    # a link to another file
    forged["file"] = []
    write_json(copy.with_name(stamp.name), forged)
    copy.rename(tmp_path / "elsewhere")
    copy.symlink_to(tmp_path / "elsewhere")
    compiler.build([source], "-O1", copy)
    assert not copy.is_symlink() and copy.read_bytes().startswith(b"\x7fELF")


def test_no_file_outside_of_the_folder_is_removed(folder: Path) -> None:
    victim = folder.parent / "victim.txt"
    victim.write_text("precious")
    record = read_record(folder / "steps.json")
    record["steps"]["report"]["results"] |= {"../victim.txt": "0", str(victim): "0"}
    write_record(folder / "steps.json", record)
    done = emufort("report", "--out", folder)
    assert done.returncode == 0, done.stderr
    assert victim.read_text() == "precious"


def test_links_are_not_written_through(folder: Path) -> None:
    victim = folder.parent / "victim.txt"
    victim.write_text("precious")
    (folder / "report.html").unlink()
    (folder / "run.log").unlink()
    (folder / "run.log").symlink_to(victim)
    assert emufort("report", "--out", folder).returncode == 0
    assert not (folder / "run.log").is_symlink()
    (folder / ".lock").unlink()
    (folder / ".lock").symlink_to(victim)
    done = emufort("report", "--out", folder)
    assert done.returncode == 1 and ".lock is a link; remove it" in done.stderr
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("name", ["steps.json", "search/search.json", "config.toml"])
@pytest.mark.parametrize("nested", [True, False])
def test_pipes_and_deep_nesting_stop_no_command(name: str, nested: bool, folder: Path) -> None:
    path = folder / name
    path.unlink()
    if nested:
        path.write_text('{"a":' * 200_000 + "1" + "}" * 200_000)
    else:
        os.mkfifo(path)
    done = subprocess.run(
        [sys.executable, "-m", "emufort.cli", "status", "--out", folder],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    assert "internal error" not in done.stderr


@pytest.mark.parametrize("engine", ["pool", "dask"])
def test_modules_of_the_working_directory_are_not_imported(
    engine: str, uninterrupted: Path, tmp_path: Path
) -> None:
    if engine == "dask":
        pytest.importorskip("distributed")
    here, sentinel = tmp_path / "here", tmp_path / "ran"
    here.mkdir()
    for name in ("multiprocessing", "dask", "numpy", "socket", "random"):
        (here / f"{name}.py").write_text(f"open({str(sentinel)!r}, 'w')\n")
    script = tmp_path / "emufort"
    script.write_text("from emufort.__main__ import main\nmain()\n")
    done = subprocess.run(
        [
            *(sys.executable, script, "search", uninterrupted / "run.toml", "--engine", engine),
            *("--workers", "2", "--out", tmp_path / "out"),
        ],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert not sentinel.exists()
    assert done.returncode == 0, done.stderr
