"""Where the Fortran sources are, and what of them a program needs, in the order of compilation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from emufort.errors import EmufortError

_MODULE = re.compile(r"^\s*module\s+(\w+)\s*(?:!.*)?$", re.IGNORECASE | re.MULTILINE)
_USE = re.compile(r"^\s*use\b(?:\s*,[^:\n]*)?(?:\s*::)?\s*(\w+)", re.IGNORECASE | re.MULTILINE)

#: Folders of a checkout that hold Fortran sources, from its top.
_CHECKOUT = ("fortran/src", "fortran/app")


def fortran_folders(also: str | Sequence[str] = ()) -> tuple[Path, ...]:
    """Return the folders with Fortran sources: that of the installed package, or of a checkout.

    A checkout also has the folders `also`, given from its top; an installed package has all in one.
    """
    package = Path(str(resources.files("emufort")))
    installed = package / "_fortran"
    if installed.is_dir():
        return (installed,)
    top = package.parent.parent
    names = (*_CHECKOUT, *([also] if isinstance(also, str) else also))
    return tuple(top / name for name in names if (top / name).is_dir())


def coupling_folder() -> Path:
    """Return the folder with what sits between the runtime and a host model.

    Raises
    ------
    EmufortError
        The package was installed without it.
    """
    package = Path(str(resources.files("emufort")))
    for folder in (package / "_fortran" / "coupling", package.parent.parent / "coupling"):
        if (folder / "aerosol_activation").is_dir():
            return folder
    raise EmufortError(
        "the Fortran sources for host models are missing from this installation of emufort; "
        "install it again"
    )


def license_text() -> str:
    """Return the licence of emufort, which bundles and host folders carry with them.

    Raises
    ------
    EmufortError
        The package was installed without it.
    """
    package = Path(str(resources.files("emufort")))
    for path in (package / "_fortran" / "LICENSE", package.parent.parent / "LICENSE"):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise EmufortError("the LICENSE is missing from this installation of emufort; install it again")


def fortran_sources(program: str, also: str | Sequence[str] = ()) -> list[Path]:
    """Return the source files of `program`, such as ``time_emulator``, modules before their users.

    `also` names further folders of a checkout to look into, see `fortran_folders`. The same whether
    the runtime is one file (installed) or one file a module (checkout).

    Raises
    ------
    EmufortError
        There is no such program.
    """
    files = [path for folder in fortran_folders(also) for path in sorted(folder.glob("*.[Ff]90"))]
    main = next((path for path in files if path.stem == program), None)
    if main is None:
        raise EmufortError(
            f"the Fortran source of '{program}' is missing from this installation of emufort; "
            "install it again"
        )
    homes: dict[str, Path] = {}
    texts = {path: path.read_text(errors="replace") for path in files}
    for path, text in texts.items():
        for name in _MODULE.findall(text):
            homes.setdefault(name.lower(), path)
    ordered: list[Path] = []

    def visit(path: Path, users: tuple[Path, ...]) -> None:
        for name in _USE.findall(texts[path]):
            home = homes.get(name.lower())
            if home is not None and home != path and home not in (*ordered, *users):
                visit(home, (*users, path))
        ordered.append(path)

    visit(main, ())
    return ordered
