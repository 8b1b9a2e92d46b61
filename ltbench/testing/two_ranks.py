"""Two processes that train a method together, as torchrun starts them, compared with one that trains it alone."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import traceback
from collections.abc import Sequence
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from ltbench.engine.answer import Logits
from ltbench.engine.ranks import Group
from ltbench.method import Context, Stage
from ltbench.testing.bench import Bench, Trained, gradient_stages
from ltbench.testing.outcomes import Failed, Skipped, SkipReason

WORLD: Final = 2
#: Largest difference of logits, as a share of the largest logit: what the order of sums may move.
TOLERANCE: Final = 1e-5


def two_ranks_as_one(bench: Bench) -> str:
    """Where a stage's rows are dealt to processes, two of them learn what one does; all end with the same bits."""
    stages: list[Stage] = []

    def note(made: Sequence[Stage], context: Context) -> None:
        stages[:] = made

    # Where the same run was made before, it is only loaded.
    alone = bench.run(folder="once", on_stages=note)
    by_gradient = gradient_stages(stages)
    if not by_gradient:
        raise Skipped(SkipReason.NO_GRADIENT, "the method has no gradient stage")
    dealt = [stage.name for stage in by_gradient if stage.parallel == "rows"]
    if not dealt:
        whole = ", ".join(repr(stage.name) for stage in by_gradient)
        raise Skipped(SkipReason.WHOLE_BATCHES, f"parallel='none': one process trains {whole}, the others wait")
    if "fork" not in multiprocessing.get_all_start_methods() or not torch.distributed.is_available():
        raise Skipped(SkipReason.NOT_REACHED, "this system starts no second process as it is needed here")
    return f"{', '.join(dealt)}: {compared(alone, both(bench))}"


def compared(alone: Trained, ranks: list[tuple[Logits, list[Any]]]) -> str:
    """How far what two processes learned is from what one did.

    Raises:
        Failed: too far, or apart from each other.
    """
    (first, decided), (second, _) = ranks
    if not np.array_equal(first, second, equal_nan=True):
        raise Failed(f"two processes ended apart: logits by up to {float(np.nanmax(np.abs(first - second))):.3g}")
    largest = float(np.abs(first - alone.logits).max()) / max(float(np.abs(alone.logits).max()), 1e-12)
    if not largest <= TOLERANCE:
        raise Failed(
            f"two processes end {largest:.2g} of the largest logit from one (allowed {TOLERANCE:g}): a loss that "
            "compares rows, another reduction than declared, state by row that is not named, draws for each row, or "
            "what Adam makes of rounding (with SGD it goes away); say parallel='none' where it has to be so"
        )
    if sorted(decided) != sorted(alone.outcome.decisions):
        raise Failed(f"two processes decided on {len(decided)} labels, one on {len(alone.outcome.decisions)}")
    return f"two processes within {largest:.1g} of the largest logit"


def both(bench: Bench) -> list[tuple[Logits, list[Any]]]:
    """Logits and decisions of each of two processes that trained together.

    Raises:
        Failed: one of them raised.
    """
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(prefix="ltbench-ranks-") as folder:
        started = []
        for rank in range(WORLD):
            here, there = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(bench, rank, Path(folder) / "meet", there), daemon=True)
            process.start()
            there.close()
            started.append((process, here))
        try:
            found = [_heard(here) for _, here in started]
        finally:
            for process, here in started:
                process.kill()
                process.join()
                here.close()
    problems = [said for said in found if isinstance(said, str)]
    if problems:
        raise Failed(f"with two processes: {problems[0]}")
    return [said for said in found if not isinstance(said, str)]


def _heard(here: Connection) -> Any:
    try:
        return here.recv()
    except EOFError:
        return "a process ended without a word"


def _work(bench: Bench, rank: int, meet: Path, said: Connection) -> None:
    """What each process does; sends logits and decisions, or what went wrong."""
    try:
        # What goes wrong is said through the pipe; torch's own hints on several processes are not for authors.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        torch.set_num_threads(1)
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{meet}", rank=rank, world_size=WORLD, timeout=timedelta(minutes=10)
        )
        found = bench.run(folder=f"rank-{rank}", ranks=Group(rank, WORLD))
        said.send((found.logits, found.outcome.decisions))
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        said.send(f"{type(error).__name__}: {' '.join(str(error).split())} ({Path(last.filename).name}:{last.lineno})")


__all__ = ["TOLERANCE", "both", "compared", "two_ranks_as_one"]
