"""Find the Fortran sources of a program and put them in the order of compilation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TypeVar

from emufort.errors import EmufortError

Key = TypeVar("Key")

_MODULE = re.compile(r"^\s*module\s+(\w+)\s*(?:!.*)?$", re.IGNORECASE | re.MULTILINE)
_USE = re.compile(r"^\s*use\b(?:\s*,[^:\n]*)?(?:\s*::)?\s*(\w+)", re.IGNORECASE | re.MULTILINE)

#: Folders with Fortran sources, relative to the top of a checkout.
_CHECKOUT = ("fortran/src", "fortran/app")


def fortran_folders(also: str | Sequence[str] = ()) -> tuple[Path, ...]:
    """Return the folders with Fortran sources of the installed package or of a checkout.

    `also` names further folders relative to the top of a checkout; an installed package has all
    sources in one folder.
    """
    package = Path(str(resources.files("emufort")))
    installed = package / "_fortran"
    if installed.is_dir():
        return (installed,)
    top = package.parent.parent
    names = (*_CHECKOUT, *([also] if isinstance(also, str) else also))
    return tuple(top / name for name in names if (top / name).is_dir())


def include_folder() -> Path:
    """Return the folder with the headers of the runtime for C and C++.

    Raises
    ------
    EmufortError
        The package was installed without them.
    """
    package = Path(str(resources.files("emufort")))
    for folder in (package / "_fortran" / "include", package.parent.parent / "fortran/include"):
        if (folder / "emufort.h").is_file():
            return folder
    raise EmufortError(
        "the C headers are missing from this installation of emufort; install it again"
    )


def coupling_folder() -> Path:
    """Return the folder with the glue between the runtime and host models.

    Raises
    ------
    EmufortError
        The package was installed without it.
    """
    return shipped_folder("coupling/face").parent


def shipped_folder(name: str) -> Path:
    """Return a folder of the checkout that an installed package has too.

    Parameters
    ----------
    name
        Path relative to the top of a checkout.

    Raises
    ------
    EmufortError
        The package was installed without it.
    """
    package = Path(str(resources.files("emufort")))
    for folder in (package / "_fortran" / name, package.parent.parent / name):
        if folder.is_dir():
            return folder
    raise EmufortError(
        f"the Fortran sources '{name}' are missing from this installation of emufort; install it "
        "again"
    )


def license_text() -> str:
    """Return the licence of emufort, which bundles and host folders include.

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


def cpu_level_source() -> str:
    """Return the C source with which a library for several kinds of CPU asks for its CPU.

    Raises
    ------
    EmufortError
        The package was installed without it.
    """
    for folder in fortran_folders():
        path = folder / "emufort_cpu_level.c"
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise EmufortError(
        "emufort_cpu_level.c is missing from this installation of emufort; install it again"
    )


def fortran_sources(program: str, also: str | Sequence[str] = ()) -> list[Path]:
    """Return the source files of `program`, such as ``time_emulator``, modules before their users.

    `also` names further folders of a checkout, see `fortran_folders`. The function works for a
    runtime in one file (installed) and with one file per module (checkout).

    Raises
    ------
    EmufortError
        There is no program of this name.
    """
    files = [path for folder in fortran_folders(also) for path in sorted(folder.glob("*.[Ff]90"))]
    main = next((path for path in files if path.stem == program), None)
    if main is None:
        raise EmufortError(
            f"the Fortran source of '{program}' is missing from this installation of emufort; "
            "install it again"
        )
    texts = {path: path.read_text(errors="replace") for path in files}
    needed = dependencies(texts)
    return in_order(needed, [main])


def dependencies(texts: Mapping[Key, str]) -> dict[Key, tuple[Key, ...]]:
    """Return the sources that each source needs for the modules that it uses.

    Parameters
    ----------
    texts
        Name or path of each source -> its text. Modules that none of them defines are ignored. If
        two sources define a module, the first is used.
    """
    homes: dict[str, Key] = {}
    for key, text in texts.items():
        for name in _MODULE.findall(text):
            homes.setdefault(name.lower(), key)
    found = {}
    for key, text in texts.items():
        used = (homes.get(name.lower(), key) for name in _USE.findall(text))
        found[key] = tuple(dict.fromkeys(home for home in used if home != key))
    return found


def in_order(needed: Mapping[Key, Sequence[Key]], wanted: Iterable[Key]) -> list[Key]:
    """Return the `wanted` sources and those that they need, in the order of compilation.

    Parameters
    ----------
    needed
        Result of `dependencies`.
    wanted
        Sources; their order is kept where none needs another.
    """
    ordered: list[Key] = []

    def visit(key: Key, users: tuple[Key, ...]) -> None:
        for other in needed[key]:
            if other not in (*ordered, *users):
                visit(other, (*users, key))
        if key not in ordered:
            ordered.append(key)

    for key in wanted:
        visit(key, ())
    return ordered
