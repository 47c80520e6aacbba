"""The compiler: found or clearly missing, errors in one line, nothing built twice."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from emufort.errors import StorageError
from emufort.toolchain.compiler import CompilationError, Compiler, CompilerMissing, first_error

needs_gfortran = pytest.mark.skipif(
    shutil.which("gfortran") is None, reason="needs a Fortran compiler"
)

HELLO = """program hello
  use greeting, only: word
  implicit none
  print '(a)', word
end program hello
"""
GREETING = """module greeting
  implicit none
  character(*), parameter :: word = '{word}'
end module greeting
"""


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    (tmp_path / "src").mkdir()
    paths = [tmp_path / "src" / "greeting.f90", tmp_path / "src" / "hello.f90"]
    paths[0].write_text(GREETING.format(word="good morning"))
    paths[1].write_text(HELLO)
    return paths


def output_of(program: Path) -> str:
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.strip()


def test_a_missing_compiler_is_named() -> None:
    with pytest.raises(CompilerMissing, match="no Fortran compiler 'no-such-fortran'"):
        Compiler.find("no-such-fortran")
    with pytest.raises(CompilerMissing):
        Compiler.find("")


def test_a_command_that_is_no_compiler_is_refused(tmp_path: Path) -> None:
    fake = tmp_path / "fake"
    fake.write_text("#!/bin/sh\nexit 1\n")
    fake.chmod(0o755)
    with pytest.raises(CompilerMissing, match="--version"):
        Compiler.find(str(fake))


@needs_gfortran
def test_modules_are_compiled_in_order_and_leave_nothing_else(
    sources: list[Path], tmp_path: Path
) -> None:
    program = Compiler.find("gfortran").build(sources, "-O1", tmp_path / "out" / "hello")
    assert output_of(program) == "good morning"
    assert {p.name for p in program.parent.iterdir()} == {"hello", ".hello.build.json"}
    assert {p.suffix for p in sources[0].parent.iterdir()} == {".f90"}


@needs_gfortran
def test_relative_paths_are_those_of_the_caller(
    sources: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    relative = [path.relative_to(tmp_path) for path in sources]
    program = Compiler.find("gfortran").build(relative, "-O1", Path("out/hello"))
    assert output_of(program) == "good morning"
    assert (tmp_path / "out" / "hello").exists()


@needs_gfortran
def test_the_same_is_built_once_and_a_change_is_noticed(
    sources: list[Path], tmp_path: Path
) -> None:
    compiler = Compiler.find("gfortran")
    program = compiler.build(sources, "-O1", tmp_path / "hello")
    first = program.stat().st_mtime_ns
    assert compiler.build(sources, "-O1", program).stat().st_mtime_ns == first
    sources[0].write_text(GREETING.format(word="good evening"))
    assert output_of(compiler.build(sources, "-O1", program)) == "good evening"
    second = program.stat().st_mtime_ns
    assert compiler.build(sources, "-O0", program).stat().st_mtime_ns != second
    program.write_bytes(b"damaged")
    assert output_of(compiler.build(sources, "-O0", program)) == "good evening"


@needs_gfortran
def test_a_change_of_an_included_file_is_noticed(tmp_path: Path) -> None:
    compiler = Compiler.find("gfortran")
    (tmp_path / "text.inc").write_text("print '(a)', 'one'\n")
    source = tmp_path / "p.f90"
    source.write_text("program p\n  include 'text.inc'\nend program p\n")
    assert output_of(compiler.build([source], "", tmp_path / "p")) == "one"
    (tmp_path / "text.inc").write_text("print '(a)', 'two'\n")
    assert output_of(compiler.build([source], "", tmp_path / "p")) == "two"


@needs_gfortran
def test_a_shared_library_can_be_loaded(tmp_path: Path) -> None:
    source = tmp_path / "twice.f90"
    source.write_text(
        "integer(c_int) function twice(i) bind(c)\n  use iso_c_binding, only: c_int\n"
        "  integer(c_int), value :: i\n  twice = 2 * i\nend function twice\n"
    )
    library = Compiler.find("gfortran").build([source], "-O1", tmp_path / "twice.so", shared=True)
    assert ctypes.CDLL(str(library)).twice(21) == 42


@needs_gfortran
def test_an_error_is_one_line_with_its_place(sources: list[Path], tmp_path: Path) -> None:
    compiler = Compiler.find("gfortran")
    program = compiler.build(sources, "", tmp_path / "hello")
    sources[1].write_text("program hello\n  implicit none\n  x = 1\nend program hello\n")
    with pytest.raises(CompilationError, match=r"hello\.f90:3: .*no IMPLICIT type") as caught:
        compiler.build(sources, "", program)
    assert "\n" not in str(caught.value)
    assert output_of(program) == "good morning", "a failed build leaves the earlier program"
    with pytest.raises(CompilationError, match="no Fortran source"):
        compiler.build([tmp_path / "absent.f90"], "", program)
    with pytest.raises(CompilationError, match="-no-such-option"):
        compiler.build(sources[:1], "-no-such-option", program)


@needs_gfortran
def test_unknown_default_flags_are_left_out() -> None:
    compiler = Compiler.find("gfortran")
    assert compiler.accepted("-O2 -no-such-option -fopenmp-simd") == "-O2 -fopenmp-simd"
    assert compiler.accepted("-O2 -fno-math-errno") == "-O2 -fno-math-errno"


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("/a/x.f90:3:5:\n\n    3 | x = 1\n      |  1\nError: No type\n", "x.f90:3: Error: No type"),
        ("/a/x.f90:3:5: warning: odd\n/a/x.f90:9:1: error: bad\n", "x.f90:9: error: bad"),
        ("x.f90(7): error #6404: no type [X]\n", "x.f90(7): error #6404: no type [X]"),
        (
            "/usr/bin/ld: x.o: in function `a':\nx.f90:(.text+0x9): undefined reference to `b_'\n",
            "undefined reference to `b_'",
        ),
        ("", "it gives no message"),
    ],
)
def test_the_first_complaint_is_found(output: str, message: str) -> None:
    assert first_error(output).endswith(message)


def test_a_full_disk_is_not_taken_for_a_wrong_source(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.write_text(
        "#!/bin/sh\n[ $1 = --version ] && echo full 1.0 && exit 0\n"
        "echo 'ld: final link failed: No space left on device' >&2\n"
        "echo 'collect2: error: ld returned 1 exit status' >&2\nexit 1\n"
    )
    full.chmod(0o755)
    source = tmp_path / "trivial.f90"
    source.write_text("program trivial\nend program trivial\n")
    with pytest.raises(StorageError, match="No space left on device; free some space"):
        Compiler.find(str(full)).build([source], "-O2", tmp_path / "work" / "trivial")
    assert not (tmp_path / "work" / "trivial").exists()
