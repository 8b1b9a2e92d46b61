"""How long jobs speak: the data, backbone and engine layers report here, the command line decides how it looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]


class Reporter(Protocol):
    """Receives progress and notices of long jobs."""

    def task(self, label: str, total: int) -> AbstractContextManager[Advance]:
        """Open a progress bar of ``total`` steps; the value entered advances it by n steps."""
        ...

    def line(self, text: str) -> None:
        """Say one line that a user should read (a repaired cache, an unpinned task)."""
        ...


class SilentReporter:
    """Says nothing; for library use and tests."""

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Advance]:
        """Accept and drop progress."""
        yield lambda n: None

    def line(self, text: str) -> None:
        """Drop the line."""


SILENT = SilentReporter()
