"""Signals that end a command: none is lost, whatever the command is doing.

Python runs a handler between two of its instructions: an exception that is raised there may be
swallowed by a destructor, and nothing happens during a long call of compiled code. So the handlers
do nothing. The interpreter itself writes the number of each signal into a socket, and a thread
reads it. The loops of a command call `check`, which raises `StoppedError` once a signal has come,
so that the command cleans up. If the command has not left within `GRACE` seconds, the thread ends
its children and the process. No result depends on the clean-up: every file is whole at any moment.

Only commands call `watch`. In a script or a notebook nothing here changes how signals act.
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

#: Signal -> what it does to a command.
WORDS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "hung up",
}
#: Seconds that a command has to clean up after a signal.
GRACE = 2.0
#: A second signal ends the command at once; one that comes sooner than this is the same one, sent
#: to the process and to its group.
_SAME_SECONDS = 0.5
#: Seconds after a failure in which a signal may turn out to be its reason.
SETTLE_SECONDS = 0.1
#: Seconds between two calls of `check` while a child is waited for.
_LOOK_SECONDS = 0.25
#: Seconds for the last acts of a process that is ended by force.
_LAST_SECONDS = 1.0

_CONTINUES = "finished work is kept, the same command continues it"
_PR_SET_PDEATHSIG = 1


class StoppedError(BaseException):
    """The command is to end because of a signal."""


class _State:
    """What this process knows about signals."""

    def __init__(self) -> None:
        self.wake: socket.socket | None = None
        self.received: signal.Signals | None = None
        self.advice = _CONTINUES
        self.last_acts: list[Callable[[], object]] = []
        self.leaving = threading.Lock()


_state = _State()


def watch() -> None:
    """Take care of the signals of this process from now on; for commands only.

    A hang-up or an interrupt that is ignored already, as under ``nohup``, stays ignored.
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
            # Libraries that are in a system call go on with it.
            signal.siginterrupt(number, False)


def advise(text: str) -> None:
    """Say what the line about a signal advises, where the same command does not continue."""
    _state.advice = text


def received(settle: float = 0.0) -> bool:
    """Whether a signal has come that ends the command.

    Parameters
    ----------
    settle
        Seconds to wait for it: a child may die of a signal sooner than this process hears of it.
    """
    if settle and _state.wake is not None and _state.received is None:
        time.sleep(settle)
    return _state.received is not None


def word(settle: float = 0.0) -> str:
    """Return what a signal that has come does to the command, such as "interrupted", or nothing.

    Parameters
    ----------
    settle
        Seconds to wait for it, as for `received`.
    """
    received(settle)
    return "" if _state.received is None else WORDS[_state.received]


def check() -> None:
    """Raise `StoppedError` if a signal has come; long loops call this."""
    if _state.received is not None:
        raise StoppedError


def checked(report: Callable[..., None]) -> Callable[..., None]:
    """Return a `Reporter` that calls `check` whenever something is reported."""

    def told(step: str, done: float, total: int, note: str = "", left: float | None = None) -> None:
        check()
        report(step, done, total, note, left)

    return told


@contextmanager
def last_act(act: Callable[[], object]) -> Iterator[None]:
    """Call `act` if the process is ended by force within this block, such as to cancel a job."""
    _state.last_acts.append(act)
    try:
        yield
    finally:
        _state.last_acts.remove(act)


# -------------------------------------------------------------------------- the end


def _attend(inside: socket.socket) -> None:
    """Wait for the first signal, then give the command some time to leave by itself."""
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
    """Say in one line which signal came, and end this process and all that it has started."""
    received = _state.received
    assert received is not None
    if not _state.leaving.acquire(timeout=GRACE):
        os._exit(128 + received)
    _within(_LAST_SECONDS / 2, _flush)
    # Back to the start of a line, with a cursor, on a terminal that showed a progress bar.
    clear = "\r\x1b[K\x1b[?25h" if _is_terminal() else ""
    line = f"{clear}error: {WORDS[received]}; {_state.advice}\n"
    with suppress(OSError):
        os.write(2, line.encode())
    # Whatever is torn down now has nothing to add.
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for act in reversed(_state.last_acts):
        _within(_LAST_SECONDS, act)
    _end_children()
    if (multiprocessing := sys.modules.get("multiprocessing.util")) is not None:
        # Semaphores, which would stay in /dev/shm otherwise.
        _within(_LAST_SECONDS / 2, multiprocessing._exit_function)  # type: ignore[attr-defined]
    os._exit(128 + received)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


def _is_terminal() -> bool:
    with suppress(ValueError, AttributeError):
        return sys.stdout.isatty() and sys.stderr.isatty()
    return False


def _within(seconds: float, act: Callable[[], object]) -> None:
    """Call something that may hang or fail."""

    def quietly() -> None:
        with suppress(BaseException):
            act()

    thread = threading.Thread(target=quietly, daemon=True)
    thread.start()
    thread.join(seconds)


def _end_children() -> None:
    """Kill all descendants but the one that removes shared memory when this process is gone."""
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    spared = getattr(getattr(tracker, "_resource_tracker", None), "_pid", None)
    for _ in range(5):  # one may start another while it is looked for
        found = [pid for pid in descendants(os.getpid()) if pid != spared]
        if not found:
            return
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def descendants(of: int) -> list[int]:
    """Return the living descendants of a process, those of descendants too."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            # The name, in brackets, may hold anything.
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
    """Do what ``subprocess.run(command, ...)`` does, with a child that ends with this process.

    Parameters
    ----------
    command
        Program and arguments.
    timeout
        Seconds after which the child is killed.
    **options
        Those of `subprocess.Popen`; ``capture_output`` as for `subprocess.run`.

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
    """Start processes in this block that see none of the signals until `start_worker`.

    A signal for this process goes to another of its threads meanwhile, and is not lost.

    The processes are started by ``python -c``, which would look for modules in the working
    directory first, whatever lies there.
    """
    from multiprocessing import resource_tracker

    before = signal.pthread_sigmask(signal.SIG_BLOCK, list(WORDS))
    safe = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        resource_tracker.ensure_running()  # when it starts, it makes signals visible again
        signal.pthread_sigmask(signal.SIG_BLOCK, list(WORDS))
        yield
    finally:
        if safe is None:
            os.environ.pop("PYTHONSAFEPATH", None)
        else:
            os.environ["PYTHONSAFEPATH"] = safe
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker() -> None:
    """Let a worker process leave interrupts and hang-ups to the driver, which ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, list(WORDS))
