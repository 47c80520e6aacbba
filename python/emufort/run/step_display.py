"""Display the progress of the steps of a run: bars in a terminal, lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from emufort.progress import Reporter, StepListener
from emufort.screen import console as make_console

_TITLE_WIDTH = 30
#: Smallest widths of a terminal that shows the remaining time, and a bar.
_WITH_TIME_LEFT, _WITH_BAR = 70, 80
#: Terminal columns for everything except the note.
_BESIDES_NOTE = 84
#: Time between two log lines about the same step [s].
LINE_SECONDS = 60.0


class StepDisplay(StepListener):
    """Shows the steps of a run as progress bars, or as lines if there is no terminal.

    Parameters
    ----------
    progress, console
        Progress bars and console of the output.
    titles
        Step -> title, for all steps that may run, in their order.
    clock
        Returns the time [s].
    """

    def __init__(
        self,
        progress: Progress,
        console: Console,
        titles: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._progress = progress
        self._console = console
        self._steps = tuple(titles)
        self._clock = clock
        self._titles = titles
        self._tasks: dict[str, Any] = {}
        self._begun = self._told = clock()
        self._first: float | None = None

    def _head(self, step: str) -> str:
        return f"[{self._steps.index(step) + 1}/{len(self._steps)}] {self._titles[step]}"

    def _say(self, text: str) -> None:
        """Print a line if there is no live display."""
        if not self._console.is_terminal:
            self._console.print(text, markup=False, soft_wrap=True)
            self._console.file.flush()

    def skip(self, step: str) -> None:
        """Show a step that needs no work."""
        self._add(step, total=1, completed=1, note="already finished")
        self._say(f"{self._head(step)}: already finished")

    def begin(self, step: str) -> None:
        """Show that a step starts."""
        self._begun = self._told = self._clock()
        self._first = None
        self._tasks[step] = self._add(step, total=None)
        self._say(self._head(step))

    def _add(self, step: str, total: int | None, completed: int = 0, note: str = "") -> Any:
        return self._progress.add_task(
            self._head(step), total=total, completed=completed, note=note, count="", times=""
        )

    def end(self, step: str) -> None:
        """Show that a step is finished."""
        task = self._tasks[step]
        total = self._progress.tasks[task].total or 1
        seconds = self._clock() - self._begun
        count = f"{total:g}/{total:g}"
        self._progress.update(
            task, total=total, completed=total, count=count, times=clock_time(seconds)
        )
        self._say(f"{self._head(step)}: done in {seconds:.1f} s")

    def __call__(
        self, step: str, done: float, total: int, note: str = "", left: float | None = None
    ) -> None:
        """Show the progress of the running step (as a `Reporter`)."""
        if not self._tasks:
            return
        # The total of step 2 changes from round to round.
        done = min(done, total)
        name = step if step in self._tasks else list(self._tasks)[-1]
        now = self._clock()
        if left is None:
            left = self._estimated(done, total, now)
        times, width = clock_time(now - self._begun), self._console.width
        if left is not None and done < total and width >= _WITH_TIME_LEFT:
            times += f", {about(left)} left"
        self._progress.update(
            self._tasks[name],
            completed=done,
            total=total,
            note=fitting(note, width - _BESIDES_NOTE),
            count=f"{int(done)}/{total}",
            times=times,
        )
        if now - self._told >= LINE_SECONDS and done < total:
            self._told = now
            percent = f" ({100 * done / total:.0f} %)" if total else ""
            rest = "" if left is None else f", {about(left)} left"
            self._say(f"    {int(done)} of {total}{percent}{f', {note}' if note else ''}{rest}")

    def _estimated(self, done: float, total: int, now: float) -> float | None:
        """Return the remaining time [s], assuming the speed of this session so far."""
        if self._first is None:
            self._first = done
        here = done - self._first
        return None if here <= 0 else max(0.0, (now - self._begun) * (total - done) / here)

    def following(self) -> Reporter:
        """Return a `Reporter` that starts a step at its first report and ends the previous step."""
        current = ""

        def report(
            step: str, done: float, total: int, note: str = "", left: float | None = None
        ) -> None:
            nonlocal current
            if step != current:
                current = step
                self.begin(step)
            self(step, done, total, note, left)
            if done == total:
                self.end(step)

        return report


def clock_time(seconds: float) -> str:
    """Return a time as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def about(seconds: float) -> str:
    """Return an estimated time as text, with as few digits as an estimate warrants."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} h"


def bars_on(console: Console) -> Progress:
    """Return the bars for a terminal; columns that do not fit are left out, never cut."""

    def column(field: str, **options: Any) -> TextColumn:
        return TextColumn(f"{{task.{field}}}", markup=False, table_column=Column(**options))

    return Progress(
        column("description", max_width=_TITLE_WIDTH),
        *([BarColumn(bar_width=10)] if console.width >= _WITH_BAR else []),
        column("fields[count]", no_wrap=True),
        column("fields[times]", no_wrap=True),
        column("fields[note]", no_wrap=True),
        console=console,
        disable=not console.is_terminal or console.quiet,
    )


def fitting(note: str, room: int) -> str:
    """Return a note if it fits, else its last part (such as the best loss), else nothing."""
    return next((text for text in (note, note.rpartition(", ")[2]) if len(text) <= room), "")


@contextmanager
def progress(titles: Mapping[str, str]) -> Iterator[StepDisplay]:
    """Show the progress of steps while the block runs.

    Parameters
    ----------
    titles
        Step -> title, for all steps that may run, in their order.
    """
    console = make_console()
    with bars_on(console) as bars:
        yield StepDisplay(bars, console, titles)
