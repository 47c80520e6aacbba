"""Ensure one writer per folder, on one machine or on several that share a disk."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emufort.errors import EmufortError
from emufort.files import make_directory


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Lock `folder` for writing by this process until the block ends or the process dies.

    The lock belongs to the open file, so a second call in the same process is also refused.

    Raises
    ------
    EmufortError
        Another process is working in the folder, or the folder is not writable.
    """
    make_directory(folder)
    try:
        # The file is written, and a link in an untrusted folder may lead to any file.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        handle = os.open(folder / ".lock", flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise EmufortError(f"{folder / '.lock'} is a link; remove it") from error
        raise EmufortError(
            f"cannot write to {folder}: {error.strerror}; choose another --out"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise EmufortError(f"cannot lock {folder}: {error.strerror}") from error
            raise EmufortError(
                f"another emufort{_holder(handle)} is at work in {folder}; wait or choose another "
                "--out"
            ) from error
        os.truncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def held_by(folder: Path) -> str | None:
    """Return the process that is working in `folder`, as ``"process 12 on node3"``, or None."""
    try:
        handle = os.open(folder / ".lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _holder(handle).strip(" ()") or "another process"
    finally:
        os.close(handle)
    return None


def _holder(handle: int) -> str:
    words = os.pread(handle, 200, 0).decode(errors="replace").split()
    return f" (process {words[0]} on {words[1]})" if len(words) == 2 else ""
