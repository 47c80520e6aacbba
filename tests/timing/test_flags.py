"""The table of compiler flags, and the places in the checkout that repeat parts of it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from emufort.errors import EmufortError
from emufort.export.render import render
from emufort.toolchain.flags import (
    BASELINE_FLAGS,
    CAUTIOUS,
    DEFAULT_FLAGS,
    FAMILIES,
    PARCEL_MODEL_FLAGS,
    fill_flags,
)

TOP = Path(__file__).resolve().parents[2]
COUPLING = TOP / "coupling"
SCHEME = COUPLING / "aerosol_activation"


def words(flags: str) -> set[str]:
    return set(shlex.split(flags))


def without_comments(path: Path) -> str:
    return "\n".join(line.partition("#")[0] for line in path.read_text().splitlines())


def flags_of_each_compiler(path: Path) -> dict[str, list[set[str]]]:
    """Return what a CMake file sets as flags, by the compiler that it asks for before."""
    found: dict[str, list[set[str]]] = {}
    family = ""
    for line in without_comments(path).splitlines():
        if "CMAKE_Fortran_COMPILER_ID" in line:
            family = next((name for name in FAMILIES if name in line.upper()), "")
        optimisation = re.search(r"set\(_flags (.*)\)$", line.strip())
        if optimisation:
            text = optimisation[1].replace("$<$<NOT:$<CONFIG:Debug>>:-O3>", "-O3")
            found.setdefault(family, []).append(words(text))
    return found


def test_the_runtime_in_the_checkout_is_compiled_as_the_table_says() -> None:
    path = TOP / "fortran" / "CMakeLists.txt"
    assert flags_of_each_compiler(path) == {
        name: [words(FAMILIES[name].fast)] for name in ("GNU", "FLANG")
    }
    text = without_comments(path)
    wide = re.findall(r"set\(_wide (\S+)\)", text)
    assert wide == [FAMILIES["GNU"].wide, FAMILIES["FLANG"].wide]
    (native,) = re.findall(r"foreach\(flag (.*?)\)", text)
    assert native.split()[0] == FAMILIES["GNU"].native == FAMILIES["FLANG"].native


def test_kernels_of_a_level_are_compiled_as_the_table_says() -> None:
    text = without_comments(TOP / "fortran" / "CMakeLists.txt")
    for level in (2, 3, 4):
        (found,) = re.findall(rf"set\(_level_{level} (.*)\)", text)
        # $<IF:$<STREQUAL:compiler,GNU>,flag of GNU,flag of flang>
        choice = r"\$<IF:\$<STREQUAL:[^,]*,GNU>,([^,]*),([^>]*)>"
        for group, name in enumerate(("GNU", "FLANG"), 1):
            assert re.sub(choice, rf"\{group}", found) == FAMILIES[name].levels[level]


def test_every_level_is_its_own_kind_of_cpu() -> None:
    for family in FAMILIES.values():
        for level, flags in family.levels.items():
            assert f"-march=x86-64-v{level}" in words(flags)
    assert FAMILIES["GNU"].levels.keys() == FAMILIES["FLANG"].levels.keys() == {2, 3, 4}


def test_the_trainer_of_wide_vectors_is_compiled_as_the_table_says() -> None:
    text = without_comments(COUPLING / "python" / "CMakeLists.txt")
    assert re.findall(r"set\(_wide (\S+)\)", text) == [FAMILIES["GNU"].wide]


def test_the_scheme_in_the_checkout_is_compiled_as_the_table_says() -> None:
    path = SCHEME / "scheme" / "CMakeLists.txt"
    assert flags_of_each_compiler(path) == {
        name: [words(FAMILIES[name].exact)] for name in ("GNU", "FLANG")
    }
    assert re.findall(r"list\(APPEND _flags (\S+)\)", path.read_text()) == [FAMILIES["GNU"].native]


def flags_in(folder: Path) -> set[str]:
    """Return the flags in the build file of a folder."""
    text = without_comments(folder / "CMakeLists.txt")
    text = text.replace("$<$<CONFIG:Release>:-O3>", "-O3").replace('"', " ").replace(";", " ")
    return set(re.findall(r"(?<![\w-])-[Ofm][a-z0-9=-]+", text)) - {"-ffree-line-length-132"}


def test_the_column_model_uses_no_other_flags() -> None:
    known = words(FAMILIES["GNU"].fast_native) | words(FAMILIES["GNU"].exact)
    # Not vectorised where bits count, and vectorised again where they do not.
    known |= {"-ftree-vectorize", "-fno-tree-vectorize"}
    used = flags_in(SCHEME / "column_model")
    assert used and used <= known


def test_the_build_file_of_the_parcel_model_has_the_flags_of_the_package() -> None:
    assert flags_in(TOP / "data_prep") == words(PARCEL_MODEL_FLAGS)


def test_documents_repeat_the_table() -> None:
    text = " ".join((TOP / "docs" / "runtime.md").read_text().split())
    assert f"`{DEFAULT_FLAGS}`" in text
    flang = FAMILIES["FLANG"].fast_native
    assert f"`{flang}`" in text
    assert f"`{BASELINE_FLAGS}`" in (TOP / "docs" / "tutorial.md").read_text()


LITERAL_FLAG = re.compile(r"(?m)^[^#\n]*\s-(O\d|ffp|fopenmp|march=\w)")


@pytest.mark.parametrize("name", ["cime/buildlib", "common/emufort_flags.cmake"])
def test_glue_of_hosts_gets_all_its_flags_from_the_table(name: str) -> None:
    text = (SCHEME / "hosts" / name).read_text()
    assert not LITERAL_FLAG.search(text)
    filled = fill_flags(text)
    assert not re.search(r"@[A-Z_]+_(FAST|EXACT|NATIVE|DEBUG|CAUTIOUS)@", filled)
    for family in FAMILIES.values():
        assert family.fast in filled and family.exact in filled and family.debug in filled
    for flags in CAUTIOUS.values():
        assert flags in filled


@pytest.mark.parametrize("name", ["CMakeLists.txt.j2", "Makefile.j2"])
def test_plain_glue_gets_all_its_flags_from_the_table(name: str) -> None:
    text = (COUPLING / "face" / "plain" / name).read_text()
    assert not LITERAL_FLAG.search(text)
    for family in FAMILIES:
        assert f"{{{{ flags.{family}.exact }}}}" in text


def test_the_build_report_advises_what_the_table_says() -> None:
    text = (TOP / "fortran" / "src" / "emufort_build.F90").read_text()
    advice = re.findall(r"advice = '(-.*)'", text)
    assert advice == [FAMILIES["FLANG"].fast, FAMILIES["GNU"].fast]


def test_a_bundle_gets_its_flags_from_the_table() -> None:
    values = dict.fromkeys(("title", "version", "runtime_sha256", "module", "hash"), "x")
    text = render("CMakeLists.txt.j2", form="numbers", **values)
    found = re.findall(r"set\(_emufort_flags (-.*)\)", text)
    assert found == [family.fast for family in FAMILIES.values()]
    levels = re.findall(r"set\(_emufort_level_\d (-.*)\)", text)
    wanted = [family.levels[level] for family in FAMILIES.values() for level in family.levels]
    assert levels == wanted


def test_every_placeholder_is_filled_with_its_flags() -> None:
    kinds = ("FAST", "EXACT", "NATIVE", "DEBUG")
    text = " ".join(f"@{name}_{kind}@" for name in FAMILIES for kind in kinds)
    wanted = [flags for f in FAMILIES.values() for flags in (f.fast, f.exact, f.native, f.debug)]
    assert fill_flags(text) == " ".join(wanted)
    assert fill_flags("@GNU_LEVEL_4@ @FLANG_LEVEL_3@ -@INTEL_LEVEL_2@-") == (
        f"{FAMILIES['GNU'].levels[4]} {FAMILIES['FLANG'].levels[3]} --"
    )
    cautious = " ".join(f"@{name}_CAUTIOUS@" for name in CAUTIOUS)
    assert fill_flags(cautious) == " ".join(CAUTIOUS.values())
    assert fill_flags("@MODULE@ $@ a@GNU@") == "@MODULE@ $@ a@GNU@"


def test_a_placeholder_of_an_unknown_compiler_is_refused() -> None:
    with pytest.raises(EmufortError, match="@NAG_FAST@: there are only flags of GNU, FLANG, INTEL"):
        fill_flags("x @NAG_FAST@")
    with pytest.raises(EmufortError, match="@GNU_CAUTIOUS@: there are only flags of"):
        fill_flags("x @GNU_CAUTIOUS@")


def test_the_flags_of_this_machine_are_those_of_every_machine_and_its_instructions() -> None:
    # Runs of the versions before hold exactly this text: another would time them again.
    assert DEFAULT_FLAGS == (
        "-O3 -march=native -mprefer-vector-width=512 -fno-math-errno -ffp-contract=fast "
        "-fno-trapping-math -fopenmp-simd"
    )
    for family in FAMILIES.values():
        assert words(family.fast_native) == words(f"{family.fast} {family.native} {family.wide}")
        assert not {"-ffast-math", "-Ofast"} & words(family.fast_native)
