"""The CCPP scheme: metadata against the Fortran and the framework's rules, and a run with it.

The framework is in no package index; test_ccpp_tools.py runs it where there is a checkout. The
rules here are those of its sources (NCAR/ccpp-framework: metadata_parser.py for ccpp_prebuild;
metadata_table.py, metavar.py, parse_tools/parse_checkers.py and ccpp_state_machine.py for capgen)
and of the dictionary of names (ESCOMP/CCPPStandardNames).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.coupling.conftest import run

Glue = Callable[[str], Path]
PHASES = ("init", "run", "finalize")
#: How a phase may be called at all.
PHASE = re.compile(r"(timestep_)?init(ial(ize)?)?|run|(timestep_)?final(ize)?")
#: A Fortran name, and with it a name in brackets.
FORTRAN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
STANDARD_NAME = re.compile(r"[a-z][a-z0-9_]*")
#: Units: powers of letters, or 1; exponents without leading zeros.
UNIT = r"[a-zA-Z]+([-+]?[1-9]\d*)?"
UNITS = re.compile(rf"1|{UNIT}(\s{UNIT})*")
REQUIRED = ("standard_name", "units", "type", "dimensions", "intent")
ALLOWED = (*REQUIRED, "long_name", "kind")
#: Names of the dictionary: what it says of units, type and kind.
DICTIONARY = {
    "ccpp_error_message": ("none", "character", "len=512"),
    "ccpp_error_code": ("1", "integer", ""),
    "horizontal_loop_extent": ("count", "integer", ""),
    "vertical_layer_dimension": ("count", "integer", ""),
    "standard_gravitational_acceleration": ("m s-2", "real", "kind_phys"),
    "gas_constant_of_dry_air": ("J kg-1 K-1", "real", "kind_phys"),
    "specific_heat_of_dry_air_at_constant_pressure": ("J kg-1 K-1", "real", "kind_phys"),
    "latent_heat_of_vaporization_of_water_at_0c": ("J kg-1", "real", "kind_phys"),
    "fresh_liquid_water_density_at_0c": ("kg m-3", "real", "kind_phys"),
    "air_temperature": ("K", "real", "kind_phys"),
    # of the schemes of CAM-SIMA (ESCOMP/atmospheric_physics)
    "subgrid_scale_vertical_velocity_for_droplet_nucleation": ("m s-1", "real", "kind_phys"),
    "gas_constant_of_water_vapor": ("J kg-1 K-1", "real", "kind_phys"),
    "air_density": ("kg m-3", "real", "kind_phys"),
}
#: What the dictionary has no name for: named by its rules, after what is activated.
OWN_NAMES = re.compile(
    r".*(_for_aerosol_activation|_aerosol_modes|_modes_for_activation|aerosol_activation_.*)"
    r"|flux_of_fully_activated_aerosol"
)
#: Only a run phase sees a part of the columns.
OF_RUN_PHASE = re.compile(r"horizontal_loop_\w+|vertical_(layer|interface)_index")
STANDARD_ERRORS = {"errmsg": "ccpp_error_message", "errflg": "ccpp_error_code"}

Tables = dict[str, dict[str, dict[str, str]]]


@dataclass
class Argument:
    name: str
    type: str
    kind: str
    rank: int
    intent: str


def parse_metadata(text: str) -> tuple[dict[str, list[str]], Tables]:
    """Return the properties, and for each table its arguments with their attributes, strictly."""
    properties: dict[str, list[str]] = {}
    tables: Tables = {}
    section = ""
    table: dict[str, dict[str, str]] = {}
    argument: dict[str, str] | None = None
    header: dict[str, str] = {}
    blank = False
    for number, line in enumerate(text.splitlines(), 1):
        line = line.rstrip()
        assert "\t" not in line, number
        if not line or line.startswith(("#", ";")):
            blank = blank or not line
            continue
        if line == "[ccpp-table-properties]":
            assert not section, "one table of properties, and first"
            section, blank = "properties", False
            continue
        if line == "[ccpp-arg-table]":
            assert section, "the properties go first"
            section, argument, header, blank = "arguments", None, {}, False
            continue
        assert section and not blank, f"line {number}: a blank line within a table"
        name = re.fullmatch(r"\[ (.*) \]", line)
        if name:
            assert section == "arguments" and set(header) == {"name", "type"}, number
            assert FORTRAN_NAME.fullmatch(name[1]), name[1]
            assert name[1].lower() not in map(str.lower, table), f"{name[1]} twice"
            argument = table[name[1]] = {}
            continue
        assert line.startswith("  ") and " = " in line, number
        for part in line.strip().split(" | "):
            key, _, value = part.partition(" = ")
            assert value == value.strip() and value, number
            if section == "properties":
                assert key in ("name", "type", "dependencies"), key
                properties.setdefault(key, []).append(value)
            elif argument is None:
                assert key in ("name", "type") and key not in header, number
                header[key] = value
                if key == "name":
                    assert value not in tables, f"{value} twice"
                    table = tables[value] = {}
                else:
                    assert [value] == properties["type"], "the type of the table"
            else:
                assert key in ALLOWED, f"line {number}: no property {key}"
                assert key not in argument, number
                argument[key] = value
    return properties, tables


def names_of(shape: str) -> list[str]:
    """Return the dimensions of a declaration or of metadata such as ``(ncol, nlev)``."""
    return [name for name in shape.strip("()").split(", ") if name]


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
                r"(\([^()]*\))?\s*!! .+",
                line,
            )
            if match:
                kind, intent, dummy, shape = match[2] or "", match[3], match[4], match[5] or ""
                declared[dummy] = Argument(dummy, match[1], kind, len(names_of(shape)), intent)
        names = [part.strip() for part in dummies.split(",")]
        assert sorted(names) == sorted(declared), f"{name}: every dummy is declared and documented"
        found[name] = [declared[dummy] for dummy in names]
    return found


def check_metadata(text: str, source: str, folder: Path) -> None:
    """Fail if the metadata breaks a rule or does not describe the source."""
    properties, tables = parse_metadata(text)
    procedures = parse_fortran(source)
    scheme = properties["name"][0]
    assert properties["name"] == [scheme] and properties["type"] == ["scheme"]
    assert f"module {scheme}\n" in source, "module, file and scheme have one name"
    files = [folder / name for line in properties["dependencies"] for name in line.split(",")]
    assert files == sorted((folder / "dependencies").iterdir()), "paths from the metadata file"
    assert files[-1] < folder / f"{scheme}.F90", "sorted paths are in the order of compilation"
    assert sorted(tables) == sorted(procedures)
    standard: dict[str, tuple[str, str, str]] = {}
    for name, table in tables.items():
        phase = name.removeprefix(f"{scheme}_")
        assert PHASE.fullmatch(phase), f"{name}: no phase of the scheme"
        head = f"!> \\section arg_table_{name} Argument Table\n  !! \\htmlinclude {name}.html\n  !!"
        assert f"  {head}\n  subroutine {name}(" in source, "three lines, as ccpp_prebuild needs"
        assert list(table) == [argument.name for argument in procedures[name]], "order"
        own = set()
        for argument in procedures[name]:
            entry = table[argument.name]
            label = f"{name}, {argument.name}"
            assert set(REQUIRED) <= set(entry), f"{label}: a property is missing"
            own_name = entry["standard_name"]
            assert own_name not in own, f"{label}: a standard name twice"
            own.add(own_name)
            check_name(own_name, entry)
            assert entry["type"] == argument.type, f"{label}: type"
            assert entry.get("kind", "") == argument.kind, f"{label}: kind"
            assert entry["intent"] == argument.intent, f"{label}: intent"
            check_dimensions(entry["dimensions"], argument.rank, phase)
            if OF_RUN_PHASE.fullmatch(own_name):
                assert phase == "run", f"{label}: only in a run phase"
            described = (entry["units"], entry["type"], entry.get("kind", ""))
            assert standard.setdefault(own_name, described) == described, f"{label}: two meanings"
        for dummy, wanted in STANDARD_ERRORS.items():
            assert table[dummy]["standard_name"] == wanted, f"{name}: error handling"
            assert table[dummy]["intent"] == "out"
        assert list(table)[-2:] == ["errmsg", "errflg"]


def check_name(name: str, entry: dict[str, str]) -> None:
    """Fail if a standard name or its units are not as the dictionary and its rules have them."""
    assert STANDARD_NAME.fullmatch(name), name
    assert UNITS.fullmatch(entry["units"]), entry["units"]
    if name in DICTIONARY:
        found = (entry["units"], entry["type"], entry.get("kind", ""))
        assert found == DICTIONARY[name], f"{name}: not what the dictionary says"
        return
    assert OWN_NAMES.fullmatch(name), f"{name}: neither in the dictionary nor one of ours"
    assert "ccpp" not in name, "names of the framework alone"
    is_flag = entry["type"] == "logical"
    assert is_flag == name.startswith("flag_for_"), f"{name}: flag_for_"
    assert is_flag == (entry["units"] == "flag"), f"{name}: units of a flag"
    if entry["type"] == "character":
        assert name.startswith("control_for_"), f"{name}: control_for_"
    if entry["type"] == "real":
        assert entry.get("kind") == "kind_phys", f"{name}: kind"
    if "number_concentration" in name:
        assert name.startswith("number_concentration_of_"), name


def check_dimensions(text: str, rank: int, phase: str) -> None:
    """Fail if the dimensions of an argument do not fit its rank or the phase."""
    assert re.fullmatch(r"\((\w+(, \w+)*)?\)", text), text
    dimensions = names_of(text)
    assert len(dimensions) == rank, f"{text}: rank"
    for dimension in dimensions:
        assert STANDARD_NAME.fullmatch(dimension), dimension
        if phase == "run":
            assert dimension != "horizontal_dimension", "a run phase has the loop extent"
        else:
            assert not OF_RUN_PHASE.fullmatch(dimension), f"{phase}: {dimension}"


def test_metadata(glue: Glue) -> None:
    folder = glue("ccpp")
    text = (folder / "emufort_activate.meta").read_text()
    check_metadata(text, (folder / "emufort_activate.F90").read_text(), folder)
    _, tables = parse_metadata(text)
    assert sorted(tables) == sorted(f"emufort_activate_{phase}" for phase in PHASES)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("(horizontal_loop_extent, v", "(horizontal_dimension, v", "the loop extent"),
        ("  units = m s-1\n", "  units = m/s\n", "m/s"),
        ("  units = m s-1\n", "  units = m s-01\n", "m s-01"),
        ("  intent = inout\n", "  intent = out\n", "intent"),
        ("  intent = inout\n", "", "missing"),
        ("kind = len=512", "kind = len=256", "dictionary"),
        ("  type = integer\n", "  type = real\n", "kind"),
        ("[ nlev ]", "[ levels ]", "order"),
        ("[ nlev ]", "[ 2levels ]", "2levels"),
        ("[ sigw ]", "[ wbar ]", "twice"),
        ("flag_for_aerosol", "aerosol", "flag_for_"),
        ("= air_density", "= density_of_the_air", "neither in the dictionary"),
        ("ccpp_error_code", "ccpp_error_flag", "neither in the dictionary"),
        ("= air_temperature", "= Air_temperature", "Air_temperature"),
        ("  name = emufort_activate_finalize", "  name = emufort_activate_end", "emufort_activate"),
        ("dependencies = dependencies/", "dependencies = ", "paths from the metadata file"),
        ("  units = K\n", "  units = K\n\n", "blank line"),
        ("  units = K\n", "  units = K\n  colour = red\n", "no property colour"),
        ("[ccpp-table-properties]", "", "a table"),
        (", vertical_layer_dimension)", ")", "rank"),
    ],
)
def test_the_check_is_strict(glue: Glue, old: str, new: str, message: str) -> None:
    folder = glue("ccpp")
    text = (folder / "emufort_activate.meta").read_text()
    source = (folder / "emufort_activate.F90").read_text()
    assert old in text
    with pytest.raises(AssertionError, match=message):
        check_metadata(text.replace(old, new), source, folder)


HOST = """
module ccpp_kinds
  implicit none
  integer, parameter :: kind_phys = kind(1.0d0)
end module ccpp_kinds
"""
DRIVER = """
program driver
  use ccpp_kinds, only: kind_phys
  use emufort_activate, only: emufort_activate_init, emufort_activate_run, &
    emufort_activate_finalize
  use emufort_host, only: n_counts => emufort_host_n_counts, emufort_answered_by_emulator, &
    emufort_answered_by_in_cloud
  use emufort_aerosol_contract, only: sigma => aerosol_sigma, g => aerosol_gravity, &
    ra => aerosol_gas_constant_air, rv => aerosol_gas_constant_vapour, &
    cp => aerosol_heat_capacity_air, latent => aerosol_latent_heat, rho => aerosol_density_water
  implicit none
  integer, parameter :: ncol = 37, nlev = 3, m = 4, r8 = kind_phys
  real(r8) :: air(ncol, nlev, 8), aerosol(ncol, nlev, m, 3), fractions(ncol, nlev, m, 4)
  real(r8) :: full(ncol, nlev), smax(ncol, nlev)
  integer :: answered_by(ncol, nlev)
  logical :: in_cloud(ncol, nlev)
  character(len=512) :: errmsg
  integer :: errflg, counted(ncol, n_counts)
  call emufort_activate_init(g, ra, rv, cp, latent, rho, m, &
    [sigma(1:m - 1), sigma(m) + 0.3_r8], 'emulator', 'arg2000', 'refuse', n_counts, errmsg, errflg)
  if (errflg == 0 .or. index(errmsg, 'the width of mode 4 is') == 0) error stop 'modes'
  call emufort_activate_init(g, ra, rv, cp, latent, rho, m, &
    sigma, 'emulator', 'none', 'refuse', n_counts, errmsg, errflg)
  if (errflg == 0 .or. len_trim(errmsg) == 0) error stop 'policy'
  call emufort_activate_init(g, ra, rv, cp, latent, rho, m, &
    sigma, 'emulator', 'arg2000', 'refuse', n_counts, errmsg, errflg)
  if (errflg /= 0) error stop 'init'
  air = 0._r8
  air(:, :, 1) = 0.5_r8
  air(:, :, 5) = 10._r8
  air(:, :, 6) = 285._r8
  air(:, :, 7) = 1._r8
  aerosol(:, :, :, 1) = 1.e8_r8
  aerosol(:, :, 3, 1) = 1.e5_r8
  aerosol(:, :, 1, 2) = 4.e-13_r8
  aerosol(:, :, 2, 2) = 2.e-15_r8
  aerosol(:, :, 3, 2) = 1.4e-12_r8
  aerosol(:, :, 4, 2) = 1.8e-14_r8
  aerosol(:, :, :, 3) = 0.15_r8
  in_cloud = .false.
  in_cloud(:, 1) = .true.
  fractions = -1._r8
  call emufort_activate_run(ncol, nlev, m, n_counts, air(:, :, 1), air(:, :, 2), air(:, :, 3), &
    air(:, :, 4), air(:, :, 5), air(:, :, 6), air(:, :, 7), aerosol(:, :, :, 1), &
    aerosol(:, :, :, 2), aerosol(:, :, :, 3), in_cloud, air(:, :, 8), fractions(:, :, :, 1), &
    fractions(:, :, :, 2), fractions(:, :, :, 3), fractions(:, :, :, 4), full, smax, &
    answered_by, counted, errmsg, errflg)
  if (errflg /= 0) error stop 'run'
  if (any(counted(:, 1) /= 2)) error stop 'in cloud'
  if (any(answered_by(:, 1) /= emufort_answered_by_in_cloud)) error stop 'who answered'
  if (any(answered_by(:, 2:) /= emufort_answered_by_emulator)) error stop 'who answered'
  if (any(smax(:, 2:) <= 0._r8)) error stop 'supersaturation'
  if (any(fractions < 0._r8 .or. fractions > 1._r8)) error stop 'fractions'
  if (any(fractions(:, 1, :, :) > 0._r8)) error stop 'no drops, no supersaturation in cloud'
  call emufort_activate_finalize(errmsg, errflg)
  if (errflg /= 0) error stop 'final'
  print '(a, 6(1x, i0))', 'counts', sum(counted, 1)
end program driver
"""


@pytest.mark.parametrize(
    "compiler", ["gfortran", pytest.param("flang-22", marks=pytest.mark.exhaustive)]
)
def test_scheme_runs(glue: Glue, tmp_path: Path, compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    folder = glue("ccpp")
    (tmp_path / "ccpp_kinds.F90").write_text(HOST)
    (tmp_path / "driver.F90").write_text(DRIVER)
    properties, _ = parse_metadata((folder / "emufort_activate.meta").read_text())
    files = [folder / f for line in properties["dependencies"] for f in line.split(",")]
    # the order of the dependencies is an order of compilation
    sources = [*files, tmp_path / "ccpp_kinds.F90", folder / "emufort_activate.F90"]
    flags = ["-std=f2018", "-Werror", "-O1"]
    if compiler == "gfortran":
        flags += ["-Wall", "-Wextra", "-fopenmp-simd"]
    for source in sources:
        # the scheme passes its arrays on without copies
        copies = source == sources[-1] and compiler == "gfortran"
        extra = ["-Warray-temporaries"] if copies else []
        run(compiler, *flags, *extra, "-c", source, cwd=tmp_path)
    objects = [tmp_path / f"{source.stem}.o" for source in sources]
    run(compiler, tmp_path / "driver.F90", *objects, "-o", tmp_path / "driver", cwd=tmp_path)
    assert run(tmp_path / "driver").startswith("counts 74")
