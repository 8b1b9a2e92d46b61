"""How progress looks: bars on a terminal, lines elsewhere; always on stderr, so that stdout stays clean."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ltbench.cli.output import seconds
from ltbench.data.progress import Advance, Reporter
from ltbench.plugin.clean import for_terminal

if TYPE_CHECKING:
    from rich.progress import Progress


class PlainReporter:
    """Lines for logs: at every tenth of a job, but no more than one a second; after five seconds in any case.

    Args:
        say: writes one line.
        clock: seconds, monotonic.
    """

    EVERY_SHARE = 0.1
    AT_MOST_EVERY = 1.0
    AT_LEAST_EVERY = 5.0

    def __init__(self, say: Callable[[str], None] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say or (lambda text: click.echo(for_terminal(text), err=True))
        self._clock = clock

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Advance]:
        """Follow one job; the last line says how long it took."""
        start = last_time = self._clock()
        done, last_done = 0, 0

        def advance(n: int) -> None:
            nonlocal done, last_done, last_time
            done += n
            now = self._clock()
            waited, moved = now - last_time, (done - last_done) / max(1, total)
            if waited >= self.AT_LEAST_EVERY or (waited >= self.AT_MOST_EVERY and moved >= self.EVERY_SHARE):
                share = f" ({min(100, round(100 * done / total))} %)" if total else ""
                self._say(f"{label}: {done}/{total}{share}")
                last_time, last_done = now, done

        yield advance
        self._say(f"{label}: done in {seconds(self._clock() - start)}")

    def line(self, text: str) -> None:
        """Say a line."""
        self._say(text)


class RichReporter:
    """Progress bars. The display lives while a job is open; finished bars stay above."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._open = 0

    def _start(self) -> Progress:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        from ltbench.cli.output import console

        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console(stderr=True),
        )
        progress.start()
        return progress

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Advance]:
        """Show a bar."""
        if self._progress is None:
            self._progress = self._start()
        progress = self._progress
        self._open += 1
        bar = progress.add_task(label, total=total)
        try:
            yield lambda n: progress.update(bar, advance=n)
        finally:
            self._open -= 1
            if self._open == 0:
                progress.stop()
                self._progress = None

    def line(self, text: str) -> None:
        """Say a line above the bars."""
        if self._progress is not None:
            self._progress.console.print(for_terminal(text), markup=False, highlight=False)
        else:
            click.echo(for_terminal(text), err=True)


def reporter() -> Reporter:
    """Bars on a terminal, lines elsewhere."""
    return RichReporter() if sys.stderr.isatty() else PlainReporter()
