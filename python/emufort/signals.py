"""Handle signals that end a command, so that none is lost at any point of the command.

Python runs a handler between two of its instructions. A destructor may swallow an exception that is
raised there, and no handler runs during a long call of compiled code. Therefore the handlers do
nothing. The interpreter writes the number of each signal into a socket, and a thread reads it. The
loops of a command call `check`, which raises `StoppedError` after a signal, so that the command
cleans up. If the command has not ended within `GRACE` seconds, the thread ends its children and the
process. No result depends on the clean-up, because every file is complete at any moment.

Only commands call `watch`. In a script or a notebook, this module does not change the effect of
signals.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

#: Signal -> word for its effect on a command.
WORDS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "hung up",
}
#: Time for a command to clean up after a signal [s].
GRACE = 2.0
#: A second signal ends the command at once. A signal within this time [s] is the same one, sent to
#: the process and to its group.
_SAME_SECONDS = 0.5
#: Time after a failure within which a signal may turn out to be its cause [s].
SETTLE_SECONDS = 0.1
#: Time between two calls of `check` while waiting for a child [s].
_LOOK_SECONDS = 0.25
#: Time for the last actions of a process that is ended by force [s].
_LAST_SECONDS = 1.0

_CONTINUES = "finished work is kept, the same command continues it"
_PR_SET_PDEATHSIG = 1


class StoppedError(BaseException):
    """The command must end because of a signal."""


class _State:
    """The state of signal handling in this process."""

    def __init__(self) -> None:
        self.wake: socket.socket | None = None
        self.received: signal.Signals | None = None
        self.advice = _CONTINUES
        self.last_acts: list[Callable[[], str | None]] = []
        self.leaving = threading.Lock()


_state = _State()


def watch() -> None:
    """Handle the signals of this process from now on; for commands only.

    Signals that are ignored already, such as a hang-up under ``nohup``, stay ignored.
    """
    if _state.wake is not None:
        return
    inside, outside = socket.socketpair()
    outside.setblocking(False)
    _state.wake = outside
    threading.Thread(target=_attend, args=(inside,), daemon=True, name="signals").start()
    signal.set_wakeup_fd(outside.fileno(), warn_on_full_buffer=False)
    for number in WORDS:
        if number == signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
            # System calls of libraries are restarted after the signal.
            signal.siginterrupt(number, False)


def advise(text: str) -> None:
    """Set the advice in the line about a signal, if the same command does not continue."""
    _state.advice = text


def received(settle: float = 0.0) -> bool:
    """Return whether a signal has come that ends the command.

    Parameters
    ----------
    settle
        Time to wait for a signal [s], because a child may die of it before this process receives
        it.
    """
    if settle and _state.wake is not None and _state.received is None:
        time.sleep(settle)
    return _state.received is not None


def word(settle: float = 0.0) -> str:
    """Return the effect of a received signal, such as "interrupted", or an empty text.

    Parameters
    ----------
    settle
        Time to wait for a signal [s], as for `received`.
    """
    received(settle)
    return "" if _state.received is None else WORDS[_state.received]


def check() -> None:
    """Raise `StoppedError` if a signal has come; long loops call this."""
    if _state.received is not None:
        raise StoppedError


def checked(report: Callable[..., None]) -> Callable[..., None]:
    """Return a `Reporter` that calls `check` at every report."""

    def told(step: str, done: float, total: int, note: str = "", left: float | None = None) -> None:
        check()
        report(step, done, total, note, left)

    return told


@contextmanager
def last_act(act: Callable[[], str | None]) -> Iterator[None]:
    """Call `act` if the process is ended by force in this block, such as to cancel a job.

    A text that `act` returns is shown to the user, such as what it could not do.
    """
    _state.last_acts.append(act)
    try:
        yield
    finally:
        _state.last_acts.remove(act)


# -------------------------------------------------------------------------- the end


def _attend(inside: socket.socket) -> None:
    """Wait for the first signal, then give the command time to end by itself."""
    while _state.received is None:
        _state.received = _next(inside, None)
    begun = time.monotonic()
    while (left := begun + GRACE - time.monotonic()) > 0:
        if _next(inside, left) is not None and time.monotonic() - begun > _SAME_SECONDS:
            break
    leave()


def _next(inside: socket.socket, seconds: float | None) -> signal.Signals | None:
    inside.settimeout(seconds)
    try:
        number = inside.recv(1)[0]
    except TimeoutError:
        return None
    return signal.Signals(number) if number in list(WORDS) else None


def leave() -> NoReturn:
    """Print a line that names the signal, and end this process and all its descendants."""
    received = _state.received
    assert received is not None
    if not _state.leaving.acquire(timeout=GRACE):
        os._exit(128 + received)
    _within(_LAST_SECONDS / 2, _flush)
    # On a terminal with a progress bar, return to the start of the line and show the cursor.
    clear = "\r\x1b[K\x1b[?25h" if _is_terminal() else ""
    line = f"{clear}error: {WORDS[received]}; {_state.advice}\n"
    with suppress(OSError):
        os.write(2, line.encode())
    # Output of the teardown is suppressed.
    with suppress(OSError):
        errors = os.dup(2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for act in reversed(_state.last_acts):
        if (text := _within(_LAST_SECONDS, act)) is not None:
            with suppress(OSError):
                os.write(errors, f"{text}\n".encode())
    _end_children()
    if (multiprocessing := sys.modules.get("multiprocessing.util")) is not None:
        # Removes semaphores, which would otherwise stay in /dev/shm.
        _within(_LAST_SECONDS / 2, multiprocessing._exit_function)  # type: ignore[attr-defined]
    os._exit(128 + received)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _is_terminal() -> bool:
    with suppress(ValueError, AttributeError):
        return sys.stdout.isatty() and sys.stderr.isatty()
    return False


def _within(seconds: float, act: Callable[[], str | None]) -> str | None:
    """Call a function that may hang or fail; return its result if it has one by then."""
    results: list[str | None] = []

    def quietly() -> None:
        with suppress(BaseException):
            results.append(act())

    thread = threading.Thread(target=quietly, daemon=True)
    thread.start()
    thread.join(seconds)
    return next(iter(results), None)


def _end_children() -> None:
    """Kill all descendants except the one that removes shared memory after this process."""
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    spared = getattr(getattr(tracker, "_resource_tracker", None), "_pid", None)
    for _ in range(5):  # a descendant may start another during the search
        found = [pid for pid in descendants(os.getpid()) if pid != spared]
        if not found:
            return
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def descendants(of: int) -> list[int]:
    """Return all running descendants of a process, at any depth."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            # The name, in brackets, may hold any characters.
            state, parent = entry.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state not in "ZX":
                children.setdefault(int(parent), []).append(int(entry.parent.name))
    found, waiting = [], [of]
    while waiting:
        waiting += (born := children.get(waiting.pop(), []))
        found += born
    return found


# ------------------------------------------------------------------------- children


def run_child(
    command: Sequence[str], timeout: float | None = None, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """Do what ``subprocess.run(command, ...)`` does with a child that ends with this process.

    Parameters
    ----------
    command
        Program and arguments.
    timeout
        Time after which the child is killed [s].
    **options
        Options of `subprocess.Popen`, and ``capture_output`` as for `subprocess.run`.

    Raises
    ------
    subprocess.TimeoutExpired
        The child took longer than `timeout`.
    StoppedError
        A signal came; the child has been killed.
    """
    if options.pop("capture_output", False):
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    begun = time.monotonic()
    with subprocess.Popen(command, preexec_fn=end_with_parent, **options) as process:
        try:
            while True:
                try:
                    output, errors = process.communicate(timeout=_LOOK_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    check()
                    if timeout is not None and time.monotonic() - begun > timeout:
                        raise subprocess.TimeoutExpired(command, timeout) from None
        except BaseException:
            for pid in (*descendants(process.pid), process.pid):
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


_libc = ctypes.CDLL(None)


def end_with_parent() -> None:
    """Ask Linux to kill this new process when the thread that started it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


@contextmanager
def hidden_from_children() -> Iterator[None]:
    """Start processes in this block that receive no signals until they call `start_worker`.

    Meanwhile a signal for this process goes to another of its threads and is not lost.

    The processes are started by ``python -c``, which would otherwise search modules in the working
    directory first.
    """
    from multiprocessing import resource_tracker

    before = signal.pthread_sigmask(signal.SIG_BLOCK, list(WORDS))
    safe = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        resource_tracker.ensure_running()  # its start makes signals visible again
        signal.pthread_sigmask(signal.SIG_BLOCK, list(WORDS))
        yield
    finally:
        if safe is None:
            os.environ.pop("PYTHONSAFEPATH", None)
        else:
            os.environ["PYTHONSAFEPATH"] = safe
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker() -> None:
    """Ignore interrupts and hang-ups in a worker process, because the driver ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, list(WORDS))
