"""A Fortran compiler on this machine: find it, and build programs and libraries with it.

compiler = Compiler.find("gfortran")
program = compiler.build([runtime, main], "-O2", work / "program")
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Self

from emufort.errors import EmufortError, StorageError
from emufort.files import replacing, scratch_folder, write_json
from emufort.provenance import command_version, cpu_model, file_sha256
from emufort.signals import run_child
from emufort.toolchain.flags import DEFAULT_COMPILER

_INCLUDE = re.compile(rb"""^[ \t]*#?[ \t]*include[ \t]+['"<]([^'">]+)['">]""", re.M | re.I)
_PLACE = re.compile(r"^(?P<file>[^\s:][^:]*):(?P<line>\d+)[:.\d]*:?(?P<rest>.*)$")
_ERROR = re.compile(r"\b(fatal\s+)?error\b|undefined reference|multiple definition", re.I)
_TRIVIAL = "program trivial\nend program trivial\n"


class CompilerMissing(EmufortError):  # noqa: N818 - reads as what is the case
    """The Fortran compiler does not exist on this machine."""


class CompilationError(EmufortError):
    """The compiler refuses a source or an option; the message holds its first error."""


@dataclass(frozen=True)
class Compiler:
    """A Fortran compiler that exists and reports its version.

    Attributes
    ----------
    name
        Name that the user gives, such as ``gfortran-13`` or ``/opt/llvm/bin/flang``.
    path
        Path of the executable.
    version
        First line of its ``--version``.
    """

    name: str
    path: Path
    version: str

    @classmethod
    def find(cls, name: str = DEFAULT_COMPILER) -> Self:
        """Look up a compiler by command name or path.

        Raises
        ------
        CompilerMissing
            There is no such command, or it does not support ``--version``.
        """
        found = shutil.which(Path(name).expanduser()) if name.strip() else None
        if found is None:
            raise CompilerMissing(
                f"there is no Fortran compiler '{name}' on this machine; install it (such as by "
                "'apt install gfortran'), or set timing.compiler to another one"
            )
        version = command_version(found)
        if version is None:
            raise CompilerMissing(
                f"'{found} --version' fails, so it is not a working Fortran compiler; set "
                "timing.compiler to another one"
            )
        return cls(name, Path(found).absolute(), version)

    @cached_property
    def target(self) -> str:
        """Compiler and CPU, on which a build depends in addition to sources and flags."""
        return f"{self.path} {self.version} on {cpu_model()}"

    def key(self, sources: Sequence[Path], flags: str, shared: bool = False) -> str:
        """Return the SHA-256 of everything that determines the result of `build`.

        Parameters
        ----------
        sources
            Fortran files, whose included files count too.
        flags
            Options as on a command line.
        shared
            Whether the result is a library.
        """
        digest = hashlib.sha256()
        for part in (self.target, " ".join(shlex.split(flags)), str(shared)):
            digest.update(part.encode() + b"\0")
        for source in sources:
            for path in (source, *_included(source)):
                digest.update(path.name.encode() + b"\0" + file_sha256(path).encode() + b"\0")
        return digest.hexdigest()

    def build(
        self, sources: Sequence[Path], flags: str, output: Path, *, shared: bool = False
    ) -> Path:
        """Compile and link `sources` (modules before their users) into `output`.

        Nothing is compiled if `output` exists and was built from the same sources by the same
        compiler with the same flags on the same kind of CPU (because of ``-march=native``). A
        program that was copied from elsewhere is built again. An interrupted build leaves the
        earlier file or none.

        Parameters
        ----------
        sources
            Fortran files, and objects or libraries if necessary, in the order of the command line.
        flags
            Options as on a command line.
        output
            The executable to write, or the library if `shared` is set.

        Raises
        ------
        CompilationError
            A source is missing, or the compiler fails; the message holds its first error.
        StorageError
            The disk is full, or `output` cannot be written.
        """
        # Absolute path, because the compiler runs in another folder.
        output = Path(output).absolute()
        paths = [Path(source).resolve() for source in sources]
        for path in paths:
            if not path.is_file():
                raise CompilationError(f"there is no Fortran source {path}")
        key = self.key(paths, flags, shared)
        stamp = output.with_name(f".{output.name}.build.json")
        if _is_current(output, stamp, key):
            return output
        # In a separate folder, because compilers write module files to the working directory.
        with scratch_folder(output.parent) as folder:
            built = folder / output.name
            options = shlex.split(flags) + (["-shared", "-fPIC"] if shared else [])
            self._run([*options, *map(str, paths), "-o", str(built)], folder, paths)
            with replacing(output) as temporary:
                shutil.copyfile(built, temporary)
                shutil.copymode(built, temporary)
        made = {"key": key, "sha256": file_sha256(output), "file": _identity(output)}
        write_json(stamp, {**made, "compiler": self.version})
        return output

    def file_name(self, library: str) -> Path | None:
        """Return where the linker finds `library`, such as ``libopenblas.so``, or None."""
        for folder in self._library_folders:
            if (folder / library).is_file():
                return (folder / library).resolve()
        return None

    @cached_property
    def _library_folders(self) -> tuple[Path, ...]:
        """Folders that the linker searches: those of the environment, then its defaults."""
        given = [p for p in os.environ.get("LIBRARY_PATH", "").split(os.pathsep) if p]
        done = subprocess.run(
            [str(self.path), "-print-search-dirs"], capture_output=True, text=True, check=False
        )
        found = [line for line in done.stdout.splitlines() if line.startswith("libraries:")]
        own = found[0].partition("=")[2].split(os.pathsep) if found else []
        usual = ["/usr/local/lib", "/usr/lib64", "/usr/lib"]
        return (*map(Path, [*given, *own, *usual]), *Path("/usr/lib").glob("*-linux-gnu"))

    def accepted(self, flags: str) -> str:
        """Return `flags` without those that this compiler does not accept.

        Use it only for default flags; flags of the user are never dropped.
        """
        return _accepted(self, flags)

    def try_flags(self, flags: str) -> None:
        """Compile and run an empty program, once per process for the same flags.

        Raises
        ------
        CompilationError
            The compiler does not work, refuses a flag, or builds programs that do not run on this
            machine.
        """
        _tried(self, flags)

    def _compile_trivial(self, options: Sequence[str]) -> None:
        with scratch_folder() as folder:
            source, program = folder / "trivial.f90", folder / "trivial"
            source.write_text(_TRIVIAL)
            self._run([*options, str(source), "-o", str(program)], folder, [])
            try:
                done = subprocess.run([program], capture_output=True, check=False, timeout=60)
            except (OSError, subprocess.TimeoutExpired) as error:
                reason = getattr(error, "strerror", None) or "it does not end"
                raise CompilationError(
                    f"a program that {self.name} built with '{shlex.join(options)}' does not run: "
                    f"{reason}"
                ) from error
            if done.returncode != 0:
                raise CompilationError(
                    f"a program that {self.name} built with '{shlex.join(options)}' does not run "
                    f"on this machine (exit code {done.returncode})"
                )

    def _run(self, arguments: list[str], folder: Path, sources: Sequence[Path]) -> None:
        # LC_ALL gives messages in English, in which the first error is searched. A killed compiler
        # leaves temporary files, which are removed with the folder.
        environment = {**os.environ, "LC_ALL": "C", "TMPDIR": str(folder)}
        try:
            done = run_child(
                [str(self.path), *arguments],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise CompilationError(f"cannot run {self.path}: {error.strerror}") from error
        if done.returncode != 0:
            what = ", ".join(path.name for path in sources) or "the options"
            if os.strerror(errno.ENOSPC) in done.stderr + done.stdout:
                raise StorageError(
                    f"{self.name} cannot write in {folder.parent}: {os.strerror(errno.ENOSPC)}; "
                    "free some space"
                )
            complaint = first_error(done.stderr + "\n" + done.stdout)
            raise CompilationError(f"{self.name} does not compile {what}: {complaint}")


@cache
def _tried(compiler: Compiler, flags: str) -> None:
    compiler._compile_trivial(shlex.split(flags))


@cache
def _accepted(compiler: Compiler, flags: str) -> str:
    def compiles(options: list[str]) -> bool:
        try:
            compiler._compile_trivial(options)
        except CompilationError:
            return False
        return True

    options = shlex.split(flags)
    if not compiles(options):
        options = [option for option in options if compiles([option])]
    return shlex.join(options)


def first_error(output: str) -> str:
    """Return the first error in a compiler's output as one line, with its place in the source.

    GNU compilers print the place lines before the message, others on the same line.
    """
    place = ""
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    for line in lines:
        match = _PLACE.match(line)
        if match:
            place = f"{Path(match['file']).name}:{match['line']}"
            if not match["rest"].strip():
                continue
        if _ERROR.search(line):
            text = match["rest"].lstrip(": ") if match else line.strip()
            text = re.sub(r"^[\d:.]*\s*", "", text)
            return f"{place}: {text}" if place else text
    return lines[0].strip() if lines else "it gives no message"


def _included(source: Path) -> list[Path]:
    """Return the files that `source` includes, directly or not, if they are in its folder."""
    found: list[Path] = []
    waiting = [source]
    while waiting:
        current = waiting.pop()
        for name in _INCLUDE.findall(current.read_bytes()):
            path = current.parent / os.fsdecode(name)
            if path.is_file() and path not in found:
                found.append(path)
                waiting.append(path)
    return found


def _is_current(output: Path, stamp: Path, key: str) -> bool:
    try:
        recorded = json.loads(stamp.read_text())
        return bool(
            recorded["key"] == key
            and recorded["file"] == (_identity(output) or None)
            and recorded["sha256"] == file_sha256(output)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _identity(path: Path) -> list[int]:
    """Return properties of a file that a copy does not share and that cannot be chosen.

    The result is empty if the file does not belong to the user of this process.
    """
    found = path.lstat()
    if found.st_uid != os.geteuid() or not stat.S_ISREG(found.st_mode):
        return []
    return [found.st_ino, found.st_ctime_ns]
