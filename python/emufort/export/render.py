"""Render the text files of a bundle from the templates in the folder next to this module."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emufort import escape
from emufort.toolchain.flags import FAMILIES

if TYPE_CHECKING:
    import jinja2

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, *, folder: Path = _TEMPLATES, **values: Any) -> str:
    """Return the text of `template` in `folder` with `values`; an undefined name is an error.

    Markdown templates escape every value that is not Markdown already. In Fortran and CMake the
    escaping depends on the position of a text, so a template names the function, see
    `emufort.escape`. Templates can read the compiler flags as ``flags``, see
    `emufort.toolchain.flags.FAMILIES`.
    """
    environment = _environment(folder, template.endswith(".md.j2"))
    return environment.get_template(template).render(**values)


@cache
def _environment(folder: Path, is_markdown: bool) -> jinja2.Environment:
    """Return the environment of a folder, which keeps the templates that it has compiled."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=escape.markdown if is_markdown else None,
    )
    environment.filters.update(
        c_comment=escape.c_comment,
        c_string=escape.c_string,
        cmake_string=escape.cmake_string,
        code=escape.markdown_code,
        comment=escape.comment,
        fortran_comment=escape.fortran_comment,
        fortran_constant=escape.fortran_constant,
    )
    environment.globals["flags"] = FAMILIES
    return environment
