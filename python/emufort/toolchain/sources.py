"""Where the Fortran sources are, and what of them a program needs, in the order of compilation."""

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
        if (folder / "face").is_dir():
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
    texts = {path: path.read_text(errors="replace") for path in files}
    needed = dependencies(texts)
    return in_order(needed, [main])


def dependencies(texts: Mapping[Key, str]) -> dict[Key, tuple[Key, ...]]:
    """Return which sources each source needs, by the modules that it uses.

    Parameters
    ----------
    texts
        Name or path of each source -> its text. Modules that none of them holds do not count; of
        two sources with one module, the first does.
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
    """Return the `wanted` sources and what they need, in the order of compilation.

    Parameters
    ----------
    needed
        As `dependencies` returns it.
    wanted
        Sources; the order is theirs where none needs the other.
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
