"""What a job does where it runs: its runs one after the other, each told to the book as it ends.

Runs are made in a child process, so that one that is killed for its memory takes neither its job with it nor those
after it; it is tried once more. Cluster executors call :func:`run_job`; where they can start a program only, that is
``python -m ltbench.engine.executors.job FOLDER NAME``.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ltbench.engine.cells import Cell, CellResult
from ltbench.engine.executors.base import Job
from ltbench.engine.executors.book import SweepBook
from ltbench.engine.executors.drive import drive, new_name
from ltbench.engine.executors.local import LocalExecutor
from ltbench.plugin.errors import UserError


def run_job(folder: Path | str, name: str) -> None:
    """Make the runs of a job that the book has no word of yet from the same job, which may have been interrupted.

    Args:
        folder: of the book.
        name: of the job.

    Raises:
        UserError: the book cannot be read here, or the working folder of the sweep is not here.
    """
    book = SweepBook(Path(folder))
    entry = book.entry(name)
    job = book.job(entry)
    left = [cell for cell in job.cells if book.told(cell, name) is None]
    with _as_told(book, gpus=entry.resources.gpus):
        for result in _made(left, job):
            book.tell(name, result)


def _made(cells: list[Cell], job: Job) -> Iterator[CellResult]:
    """Results of runs in one child process after the other."""

    def nothing(job: Job, cell: Cell) -> CellResult | None:
        return None

    # Of its own, since here nothing waits for a book: the child answers.
    groups = [Job(new_name(), (cell,), job.plan, job.options, job.files, job.resources) for cell in cells]
    executor = LocalExecutor(1, job.plan.threads)
    try:
        yield from drive(groups, executor, ask=nothing, until_busy=True)
    finally:
        executor.close()


@contextmanager
def _as_told(book: SweepBook, gpus: int) -> Iterator[None]:
    """The variables and the working folder of the process that submitted the sweep."""
    before, place = dict(os.environ), Path.cwd()
    try:
        os.environ.update(book.environment)
        if gpus == 0 and book.options.device == "auto":
            # On a node that hides none of its graphics processors from jobs, "auto" would take another job's.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        try:
            os.chdir(book.working)
        except OSError as error:
            why = f"the sweep's working folder {book.working} is not on this machine"
            raise UserError(why, "type ltbench sweep in a folder that all nodes share") from error
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        os.chdir(place)


def _end_with_stdin() -> None:
    """End this process when whoever started it does: its end closes the pipe that is our standard input."""

    def watch() -> None:
        sys.stdin.buffer.read()
        os._exit(1)

    threading.Thread(target=watch, name="ends with stdin", daemon=True).start()


def main(words: list[str]) -> int:
    """``python -m ltbench.engine.executors.job FOLDER NAME``; 2 where the book cannot be used."""
    _end_with_stdin()
    try:
        run_job(words[0], words[1])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
