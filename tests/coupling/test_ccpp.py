"""The CCPP scheme: metadata against the Fortran, argument for argument, and a run with it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.coupling.conftest import run

Glue = Callable[[str], Path]
PHASES = ("init", "run", "final")
NAME = re.compile(r"[a-z][a-z0-9_]*")
#: Units as CCPP writes them: products of powers, or words.
UNITS = re.compile(r"(1|none|flag|count|index|([a-zA-Z]+-?\d*)( [a-zA-Z]+-?\d*)*)")
STANDARD_ERRORS = {"errmsg": "ccpp_error_message", "errflg": "ccpp_error_code"}


@dataclass
class Argument:
    name: str
    type: str
    kind: str
    rank: int
    intent: str


def parse_metadata(text: str) -> tuple[dict[str, list[str]], dict[str, dict[str, dict[str, str]]]]:
    """Return the properties, and for each table its arguments with their attributes, strictly."""
    properties: dict[str, list[str]] = {}
    tables: dict[str, dict[str, dict[str, str]]] = {}
    section = ""
    table: dict[str, dict[str, str]] = {}
    argument: dict[str, str] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        line = line.rstrip()
        assert "\t" not in line, number
        if not line or line.startswith("#"):
            continue
        if line in ("[ccpp-table-properties]", "[ccpp-arg-table]"):
            section, argument = line[1:-1], None
            continue
        header = re.fullmatch(r"\[ (\w+) \]", line)
        if header:
            assert section == "ccpp-arg-table", number
            assert header[1] not in table, f"{header[1]} twice"
            argument = table[header[1]] = {}
            continue
        assert line.startswith("  ") and " = " in line, number
        for part in line.strip().split(" | "):
            key, _, value = part.partition(" = ")
            assert value == value.strip() and value, number
            if section == "ccpp-table-properties":
                properties.setdefault(key, []).append(value)
            elif argument is None:
                if key == "name":
                    table = tables[value] = {}
                else:
                    assert (key, value) == ("type", "scheme"), number
            else:
                assert key not in argument, number
                argument[key] = value
    return properties, tables


def parse_fortran(text: str) -> dict[str, list[Argument]]:
    """Return the arguments of every subroutine in the order of its argument list."""
    found = {}
    joined = re.sub(r"&\s*\n\s*", "", text)
    pattern = r"^  subroutine (\w+)\((.*?)\)\n(.*?)^  end subroutine \1$"
    for name, dummies, body in re.findall(pattern, joined, re.MULTILINE | re.DOTALL):
        declared = {}
        for line in body.splitlines():
            match = re.match(
                r"    (real|integer|logical|character)(?:\((.*?)\))?, intent\((\w+)\) :: (\w+)"
                r"(\(.*?\))?\s*!! .+",
                line,
            )
            if match:
                kind, intent, dummy, shape = match[2] or "", match[3], match[4], match[5] or ""
                declared[dummy] = Argument(dummy, match[1], kind, shape.count(":"), intent)
        names = [part.strip() for part in dummies.split(",")]
        assert sorted(names) == sorted(declared), f"{name}: every dummy is declared and documented"
        found[name] = [declared[dummy] for dummy in names]
    return found


def test_metadata(glue: Glue) -> None:
    folder = glue("ccpp")
    properties, tables = parse_metadata((folder / "emufort_activate.meta").read_text())
    source = (folder / "emufort_activate.F90").read_text()
    procedures = parse_fortran(source)
    assert properties["name"] == ["emufort_activate"] and properties["type"] == ["scheme"]
    files = [name for line in properties["dependencies"] for name in line.split(",")]
    assert sorted(files) == sorted(path.name for path in (folder / "src").iterdir())
    assert sorted(tables) == sorted(procedures) == sorted(f"emufort_activate_{p}" for p in PHASES)
    standard: dict[str, tuple[str, str]] = {}
    for name, table in tables.items():
        assert f"\\section arg_table_{name} Argument Table" in source
        assert f"\\htmlinclude {name}.html" in source
        assert list(table) == [argument.name for argument in procedures[name]], "order"
        own = set()
        for argument in procedures[name]:
            entry = table[argument.name]
            assert set(entry) <= {
                *("standard_name", "long_name", "units", "type", "kind", "dimensions", "intent"),
            }
            assert NAME.fullmatch(entry["standard_name"])
            assert entry["standard_name"] not in own, "a standard name twice"
            own.add(entry["standard_name"])
            assert UNITS.fullmatch(entry["units"]), entry["units"]
            assert entry["type"] == argument.type
            assert entry.get("kind", "") == argument.kind
            assert entry["intent"] == argument.intent
            assert re.fullmatch(r"\((\w+(, \w+)*)?\)", entry["dimensions"])
            dimensions = [d for d in entry["dimensions"][1:-1].split(", ") if d]
            assert len(dimensions) == argument.rank, argument.name
            assert "horizontal_dimension" not in dimensions, "a run phase has the loop extent"
            if not name.endswith("_run"):
                assert "horizontal_loop_extent" not in dimensions
            units, kind = entry["units"], entry["type"]
            assert standard.setdefault(entry["standard_name"], (units, kind)) == (units, kind)
        for dummy, wanted in STANDARD_ERRORS.items():
            assert table[dummy]["standard_name"] == wanted
            assert table[dummy]["intent"] == "out"
        assert list(table)[-2:] == ["errmsg", "errflg"]
    assert standard["ccpp_error_message"] == ("none", "character")
    assert standard["ccpp_error_code"] == ("1", "integer")


@pytest.mark.parametrize(
    ("broken", "message"),
    [("  units K\n", "4"), ("[ a ]\n[ a ]\n", "twice"), ("\tunits = K\n", "4")],
)
def test_the_parser_is_strict(broken: str, message: str) -> None:
    text = "[ccpp-arg-table]\n  name = x\n  type = scheme\n" + broken
    with pytest.raises(AssertionError, match=message):
        parse_metadata(text)


HOST = """
module ccpp_kinds
  implicit none
  integer, parameter :: kind_phys = kind(1.0d0)
end module ccpp_kinds
"""
DRIVER = """
program driver
  use ccpp_kinds, only: kind_phys
  use emufort_activate, only: emufort_activate_init, emufort_activate_run, emufort_activate_final
  implicit none
  integer, parameter :: ncol = 37, nlev = 3, m = 4, r8 = kind_phys
  real(r8) :: air(ncol, nlev, 8), aerosol(ncol, nlev, m, 3), fractions(ncol, nlev, m, 4)
  real(r8) :: full(ncol, nlev)
  logical :: in_cloud(ncol, nlev)
  character(len=512) :: errmsg
  integer :: errflg, counted(6)
  call emufort_activate_init(9.8_r8, 287._r8, 461._r8, 1005._r8, 2.5e6_r8, 1.e3_r8, &
    [1.8_r8, 1.6_r8, 1.8_r8, 1.9_r8], 'emulator', 'arg2000', 'paper', errmsg, errflg)
  if (errflg == 0 .or. index(errmsg, 'does not know these aerosol modes') == 0) error stop 'modes'
  call emufort_activate_init(9.8_r8, 287._r8, 461._r8, 1005._r8, 2.5e6_r8, 1.e3_r8, &
    [1.8_r8, 1.6_r8, 1.8_r8, 1.6_r8], 'emulator', 'none', 'paper', errmsg, errflg)
  if (errflg == 0 .or. len_trim(errmsg) == 0) error stop 'policy'
  call emufort_activate_init(9.8_r8, 287._r8, 461._r8, 1005._r8, 2.5e6_r8, 1.e3_r8, &
    [1.8_r8, 1.6_r8, 1.8_r8, 1.6_r8], 'emulator', 'arg2000', 'paper', errmsg, errflg)
  if (errflg /= 0) error stop 'init'
  air = 0._r8
  air(:, :, 1) = 0.5_r8
  air(:, :, 5) = 10._r8
  air(:, :, 6) = 285._r8
  air(:, :, 7) = 1._r8
  aerosol(:, :, :, 1) = 1.e8_r8
  aerosol(:, :, 3, 1) = 1.e5_r8
  aerosol(:, :, :, 2) = 1.e-12_r8
  aerosol(:, :, 2, 2) = 1.e-15_r8
  aerosol(:, :, :, 3) = 0.2_r8
  in_cloud = .false.
  in_cloud(:, 1) = .true.
  fractions = -1._r8
  call emufort_activate_run(ncol, nlev, m, air(:, :, 1), air(:, :, 2), air(:, :, 3), &
    air(:, :, 4), air(:, :, 5), air(:, :, 6), air(:, :, 7), aerosol(:, :, :, 1), &
    aerosol(:, :, :, 2), aerosol(:, :, :, 3), in_cloud, air(:, :, 8), fractions(:, :, :, 1), &
    fractions(:, :, :, 2), fractions(:, :, :, 3), fractions(:, :, :, 4), full, counted, &
    errmsg, errflg)
  if (errflg /= 0) error stop 'run'
  if (counted(1) /= ncol*2) error stop 'in cloud'
  if (any(fractions < 0._r8 .or. fractions > 1._r8)) error stop 'fractions'
  if (any(fractions(:, 1, :, :) > 0._r8)) error stop 'no drops, no supersaturation in cloud'
  call emufort_activate_final(errmsg, errflg)
  if (errflg /= 0) error stop 'final'
  print '(a, 6(1x, i0))', 'counts', counted
end program driver
"""


@pytest.mark.skipif(shutil.which("gfortran") is None, reason="no gfortran")
def test_scheme_runs(glue: Glue, tmp_path: Path) -> None:
    folder = glue("ccpp")
    (tmp_path / "ccpp_kinds.F90").write_text(HOST)
    (tmp_path / "driver.F90").write_text(DRIVER)
    properties, _ = parse_metadata((folder / "emufort_activate.meta").read_text())
    files = [folder / "src" / f for line in properties["dependencies"] for f in line.split(",")]
    # the order of the dependencies is an order of compilation
    sources = [*files, tmp_path / "ccpp_kinds.F90", folder / "emufort_activate.F90"]
    flags = ["-std=f2018", "-Wall", "-Wextra", "-Werror", "-O1", "-fopenmp-simd"]
    for source in sources:
        run("gfortran", *flags, "-c", source, cwd=tmp_path)
    objects = [tmp_path / f"{source.stem}.o" for source in sources]
    run("gfortran", tmp_path / "driver.F90", *objects, "-o", tmp_path / "driver", cwd=tmp_path)
    assert run(tmp_path / "driver").startswith("counts 74")
