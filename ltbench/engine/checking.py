"""Many records verified, in processes of one thread each; a task is opened once in each."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from ltbench.data.base import DataRoot
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.restate import restate
from ltbench.plugin.system import usable_cores
from ltbench.records.verify import (
    OpenTrainTruth,
    OpenTruth,
    VerifyReport,
    open_registered,
    open_registered_train,
    verify,
)

#: So many records are worth a second process, which takes seconds to start.
WORTH_A_PROCESS = 24
#: Records that a process takes at a time: neighbours are of one task.
_CHUNK = 8


@dataclass(frozen=True)
class Places:
    """Where to look.

    Attributes:
        logits_dirs: further folders with logits.
        data_root: of data sets; None for the usual places.
    """

    logits_dirs: tuple[Path, ...] = ()
    data_root: Path | None = None


def check(path: Path, places: Places) -> VerifyReport:
    """Verify one record with all that this installation can tell of it."""
    truth, train = _openers(places.data_root)
    root = None if places.data_root is None else DataRoot(root=places.data_root)
    return verify(path, truth, places.logits_dirs, open_train=train, restate=partial(restate, root=root))


def check_all(paths: Sequence[Path], places: Places, jobs: int = 0, reporter: Reporter = SILENT) -> list[VerifyReport]:
    """Verify records, in the order given.

    Args:
        jobs: processes; 0 takes as many as there are cores, and one for few records.
    """
    if not jobs:
        jobs = max(1, min(usable_cores(), len(paths) // WORTH_A_PROCESS))
    if jobs == 1 or len(paths) < 2:
        return [check(path, places) for path in paths]
    context = multiprocessing.get_context("spawn")
    found = []
    with (
        ProcessPoolExecutor(jobs, mp_context=context, initializer=_one_thread) as pool,
        reporter.task(f"verifying {len(paths)} records", len(paths)) as advance,
    ):
        for report in pool.map(partial(check, places=places), paths, chunksize=_CHUNK):
            found.append(report)
            advance(1)
    return found


def _one_thread() -> None:
    from ltbench.engine.machine import compute_with

    compute_with(1)


@lru_cache(maxsize=1)
def _openers(data_root: Path | None) -> tuple[OpenTruth, OpenTrainTruth]:
    root = DataRoot() if data_root is None else DataRoot(root=data_root)
    return open_registered(root), open_registered_train(root)
