"""Run a Fortran compiler, but compile equal sources with equal flags only once per test session.

Hundreds of tests compile the runtime, most of them with the same flags. `tests/conftest.py` puts a
script named as each compiler at the front of ``PATH``. The script runs this file:

    python -I -S compiler_cache.py COMPILER ARGUMENT...

The folder that the environment variable `VARIABLE` names holds the object and the module files of
each source. They are used again if the source, the files that it includes, the modules that it
uses, the compiler and the flags are the same. A command that this file does not know, that fails or
that prints something is given to the compiler unchanged.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: Environment variable with the folder of objects and modules. Without it, nothing is cached.
VARIABLE = "EMUFORT_COMPILER_CACHE"
#: Options on which an object depends. Options that are in no list make a command unsuited.
COMPILED = re.compile(
    r"-(O|f(?!syntax-only|plugin|pass-plugin|dump|profile|pre-include)|m(?!llvm|odule-dir)"
    r"|W(?![lap],)|std=|g|D.|U.|pedantic$|cpp$|w$)"
)
#: Options for the linker.
LINKED = re.compile(r"-(l.|L.|Wl,|shared$|static|rdynamic$|pthread$)")
#: Sources that are compiled faster than they are looked up, all of a command together [bytes].
SMALL = 4096

_INCLUDE = re.compile(r"""^[ \t]*#?[ \t]*include[ \t]*['"<]([^'">]+)['">]""", re.M | re.I)
_USE = re.compile(
    r"^[ \t]*use\b[ \t]*(?:,[ \t]*(?:non_)?intrinsic[ \t]*)?(?:::)?[ \t]*(\w+)[ \t]*(\(?)",
    re.M | re.I,
)
_MODULE = re.compile(r"^[ \t]*module[ \t]+(\w+)[ \t]*(?:!.*)?$", re.M | re.I)
_MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.M)
_SUBMODULE = re.compile(r"^[ \t]*submodule\b", re.M | re.I)


class UnsuitedError(Exception):
    """The compiler must do this itself."""


@dataclass
class Command:
    """The arguments of a compiler, by what they are for."""

    arguments: list[str]
    is_compilation: bool = False
    output: Path | None = None
    modules: Path = field(default_factory=Path.cwd)
    includes: list[Path] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        waiting = iter(self.arguments)
        for argument in waiting:
            if argument == "-c":
                self.is_compilation = True
            elif argument.startswith("-o"):
                self.output = Path(argument[2:] or next(waiting))
            elif argument.startswith("-J") or argument == "-module-dir":
                is_alone = argument in ("-J", "-module-dir")
                self.modules = Path.cwd() / (next(waiting) if is_alone else argument[2:])
            elif argument.startswith("-I"):
                self.includes.append(Path.cwd() / (argument[2:] or next(waiting)))
            elif not argument.startswith("-"):
                if argument.endswith((".f90", ".F90")):
                    self.sources.append(argument)
                elif not argument.endswith((".o", ".a", ".so")):
                    raise UnsuitedError
            elif COMPILED.match(argument):
                self.flags.append(argument)
            elif not LINKED.match(argument):
                raise UnsuitedError
        if not self.sources or (self.is_compilation and self.output and len(self.sources) > 1):
            raise UnsuitedError
        if sum(Path(source).stat().st_size for source in self.sources) < SMALL:
            raise UnsuitedError

    @property
    def searched(self) -> list[Path]:
        """Folders in which the compiler looks for modules and for included files."""
        return list(dict.fromkeys([Path.cwd(), self.modules, *self.includes]))


def main(compiler: str, arguments: list[str]) -> None:
    """Compile what must be compiled; the compiler itself then links, or does all."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        folder = Path(os.environ[VARIABLE])
        command = Command(arguments)
        objects = {}
        for source in command.sources:
            entry = compiled(compiler, folder, command, Path(source))
            for made in entry.iterdir():
                if made.suffix == ".o":
                    objects[source] = str(made)
                else:
                    put(made, command.modules / made.name, if_changed=True)
        if command.is_compilation:
            for source, made in objects.items():
                put(Path(made), command.output or Path(f"{Path(source).stem}.o"))
            return
        arguments = [objects.get(argument, argument) for argument in arguments]
    except (UnsuitedError, OSError, KeyError, StopIteration):
        pass
    os.execv(compiler, [compiler, *arguments])


def put(made: Path, place: Path, if_changed: bool = False) -> None:
    content = made.read_bytes()
    if not (if_changed and place.exists() and place.read_bytes() == content):
        place.write_bytes(content)


def compiled(compiler: str, folder: Path, command: Command, source: Path) -> Path:
    """Return the folder with object and modules of a source, compiled if they are not known."""
    entry = folder / key(compiler, command, source)
    if entry.is_dir():
        return entry
    if entry.exists():  # the note of an attempt that failed or gave warnings
        raise UnsuitedError
    # The folder is new and empty, so that no module of an earlier compilation is in the way.
    scratch = Path(tempfile.mkdtemp(dir=folder))
    searched = [f"-I{path}" for path in command.searched]
    target = ["-c", source.absolute(), "-o", f"{source.stem}.o"]
    words = [compiler, *command.flags, *searched, *map(str, target)]
    done = subprocess.run(words, cwd=scratch, capture_output=True, check=False)
    if done.returncode != 0 or done.stdout or done.stderr:
        shutil.rmtree(scratch)
        entry.touch()
        raise UnsuitedError
    try:
        scratch.rename(entry)
    except OSError:  # another process was faster
        shutil.rmtree(scratch)
    return entry


def key(compiler: str, command: Command, source: Path) -> str:
    """Return the SHA-256 of everything that determines the object and the modules of a source."""
    digest = hashlib.sha256()

    def add(*parts: str) -> None:
        for part in parts:
            digest.update(part.encode(errors="surrogateescape") + b"\0")

    add(os.path.realpath(compiler), source.name, *in_order(command.flags))
    if any(flag.startswith("-g") for flag in command.flags):
        add(str(source.absolute()), str(Path.cwd()))
    text = "\n".join(texts(source, command.searched))
    add(text)
    macros = set(_MACRO.findall(text))
    macros |= {re.split(r"\W", flag[2:])[0] for flag in command.flags if flag.startswith("-D")}
    inside = {name.lower() for name in _MODULE.findall(text)}
    if _SUBMODULE.search(text):
        raise UnsuitedError
    for name, parenthesis in _USE.findall(text):
        if parenthesis or (name in macros and name.lower() not in inside):
            raise UnsuitedError
        add(name, module_text(name.lower(), command.searched))
    return digest.hexdigest()


def in_order(flags: list[str]) -> list[str]:
    """Return flags with those for warnings in one order, which changes nothing without -Wno-."""
    if any(flag.startswith("-Wno-") for flag in flags):
        return flags
    warnings = [flag for flag in flags if flag.startswith(("-W", "-std", "-pedantic"))]
    return [flag for flag in flags if flag not in warnings] + sorted(set(warnings))


def texts(source: Path, searched: list[Path]) -> Iterator[str]:
    """Yield the text of a source and of all files that it includes."""
    text = source.read_text(encoding="utf-8", errors="surrogateescape")
    yield text
    for name in _INCLUDE.findall(text):
        found = [path for path in (source.parent / name, *(p / name for p in searched))
                 if path.is_file()]  # fmt: skip
        if not found:
            raise UnsuitedError
        yield from texts(found[0], searched)


def module_text(name: str, searched: list[Path]) -> str:
    """Return the content of a module file, or nothing for the compiler's own modules."""
    paths = [folder / f"{name}.mod" for folder in searched]
    found = {plain(path.read_bytes()) for path in paths if path.is_file()}
    if len(found) > 1:
        raise UnsuitedError
    return found.pop() if found else ""


def plain(content: bytes) -> str:
    """Return a module file without compression and without the name of its source."""
    if content.startswith(b"\x1f\x8b"):
        content = zlib.decompress(content, zlib.MAX_WBITS | 16).partition(b"\n")[2]
    return content.decode(errors="surrogateescape")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
