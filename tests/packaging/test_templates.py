"""Generated Fortran sources are what their templates give."""

from __future__ import annotations

import re
from pathlib import Path

import fypp
import pytest

TOP = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((TOP / "fortran/templates").glob("*.fypp"))
SOURCES = TOP / "fortran/src"


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_a_generated_source_is_what_its_template_gives(template: Path) -> None:
    source = SOURCES / f"emufort_{template.stem}.F90"
    is_current = source.read_text() == fypp.Fypp().process_file(str(template))
    assert is_current, f"{source.name} is not what {template.name} gives: run make templates"


def test_every_generated_source_has_its_template() -> None:
    header = re.compile(r"! Made from (fortran/templates/\S+) by `make templates`; do not edit\.\n")
    named = {
        source.stem: made[1]
        for source in SOURCES.glob("*.F90")
        if (made := header.match(source.read_text()))
    }
    assert named == {
        f"emufort_{template.stem}": template.relative_to(TOP).as_posix() for template in TEMPLATES
    }
