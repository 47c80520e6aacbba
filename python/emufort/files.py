"""Write files atomically: every result is written to a temporary file and then renamed."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from emufort.errors import EmufortError, StorageError

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

Row = TypeVar("Row")


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def make_directory(path: Path) -> Path:
    """Create `path` and its parents; raise `StorageError` when that is impossible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot create the folder {path}: {_reason(error)}; choose another --out or fix its "
            "permissions"
        ) from error
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`, which replaces `path` on success, else is removed.

    The rename is atomic and comes after the data have reached the disk, so a reader (or the same
    command after a kill) sees the old file or the new one, never part of one.

    Raises
    ------
    StorageError
        The folder is not writable or the disk is full; nothing is left behind.
    """
    make_directory(path.parent)
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        temporary.chmod(0o666 & ~_umask())
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {_reason(error)}; free some space or choose another --out"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` atomically, UTF-8."""
    write_bytes(path, content.encode())


def json_text(content: Any) -> str:
    """Return `content` as indented JSON, the one form in which emufort writes it.

    Raises
    ------
    ValueError
        `content` holds NaN or infinity, which JSON does not have.
    """
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` atomically as indented JSON; NaN and infinity are refused."""
    write_text(path, json_text(content))


def read_json(path: Path) -> Any:
    """Read a JSON file of a run folder; raise `EmufortError` when it is missing or damaged."""
    if path.exists() and not path.is_file():
        raise EmufortError(f"cannot read {path}: it is not a file")  # reading a pipe would wait
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise EmufortError(f"cannot read {path}: {_reason(error)}") from error
    except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError
        raise EmufortError(
            f"{path} is not valid JSON: {error}; remove it and repeat the command that wrote it"
        ) from error


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write `rows` to `path` atomically with the given column order."""
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def write_array(
    path: Path, shape: tuple[int, ...], dtype: DTypeLike, parts: Iterable[NDArray[Any]]
) -> None:
    """Write a .npy file from parts of rows; not atomic, for files that can be made again.

    Raises
    ------
    StorageError
        The disk is full, or the folder is not writable.
    """
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
        "fortran_order": False,
        "shape": shape,
    }
    try:
        # The file is not mapped, because a full disk would then raise a signal instead of an error.
        with open(path, "wb") as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            for part in parts:
                stream.write(np.ascontiguousarray(part, dtype=dtype).data)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {_reason(error)}; free some space or choose another --out"
        ) from error


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a CSV table of a run folder as a list of rows of strings.

    Raises
    ------
    EmufortError
        The table is missing or damaged.
    """
    try:
        with open(path, newline="") as stream:
            return list(csv.DictReader(stream))
    except OSError as error:
        raise EmufortError(f"cannot read {path}: {_reason(error)}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise EmufortError(
            f"{path} is not a table: {error}; remove it and repeat the command that wrote it"
        ) from error


#: Name patterns of temporary files, which remain if their writer is killed.
_LEFT = (".*.part", ".*.old", ".scratch-*")


def sweep(folder: Path, within: str = "*") -> None:
    """Remove files that killed commands have left in `folder`; only its writer may call this.

    Parameters
    ----------
    within
        Pattern that names must also match, for a folder that other programs share.
    """
    for path in list(folder.glob(within)):
        if any(path.match(pattern) for pattern in _LEFT):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield a folder for files that are needed only in this block.

    Folders that killed processes have left in the same place are removed too; running processes
    hold a lock on theirs.

    Parameters
    ----------
    parent
        Parent folder; default: the system's folder for temporary files.

    Raises
    ------
    StorageError
        The folder cannot be created.
    """
    place = Path(tempfile.gettempdir()) if parent is None else make_directory(parent)
    prefix = "emufort-scratch-" if parent is None else ".scratch-"
    for left in place.glob(f"{prefix}*"):
        with suppress(OSError), _locked(left):
            if time.time() - left.stat().st_mtime > _YOUNG_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    try:
        made = tempfile.TemporaryDirectory(prefix=prefix, dir=place, ignore_cleanup_errors=True)
    except OSError as error:
        raise StorageError(
            f"cannot write in {place}: {_reason(error)}; free some space or choose another folder"
        ) from error
    with made as name, ExitStack() as stack:
        with suppress(OSError):  # without locks in the file system, nothing is removed there either
            stack.enter_context(_locked(Path(name)))
        yield Path(name)


#: Time [s] that a process may need between creating a folder and locking it.
_YOUNG_SECONDS = 60.0


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; raise `OSError` if another process holds it."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def read_table(path: Path, kind: type[Row]) -> list[Row]:
    """Read a CSV table as objects of the dataclass `kind`, whose fields are text and numbers.

    Raises
    ------
    EmufortError
        The table is missing or damaged.
    """
    types = {"str": str, "int": int, "float": float}
    known = {field.name: types[str(field.type)] for field in fields(kind)}  # type: ignore[arg-type]
    try:
        return [
            kind(**{name: of(row[name]) for name, of in known.items() if name in row})
            for row in read_csv(path)
        ]
    except (TypeError, ValueError) as error:
        raise EmufortError(
            f"{path} is damaged ({error}); repeat the command that wrote it"
        ) from error
