"""Jobs on the workers of a dask scheduler, whoever started them: by hand, dask-jobqueue, Kubernetes.

Each job is a program of its own that a worker's thread watches. So runs do not share Python's state with each other or
with dask, a run that dies does not take its worker along, and a job that is given up ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final

from ltbench.engine.executors.base import ExecutorOptions, Job, Seen, State
from ltbench.engine.executors.book import MACHINE, is_cancelled
from ltbench.plugin.errors import UserError
from ltbench.plugin.reading import one_line

#: What a worker that has graphics processors calls them: ``dask worker --resources GPU=1``.
GPU: Final = "GPU"
#: Seconds to wait for the scheduler to answer.
ANSWERS: Final = 15.0
_PREFIX: Final = "ltbench-"
_NOBODY: Final = "no-worker"
_WAITING: Final = {"waiting", "queued", _NOBODY, "released"}


def run_here(folder: str, name: str, threads: int) -> str:
    """Run a job in a program of its own; called on a worker.

    Returns:
        What it said where it ended badly; empty where it did not.
    """
    from distributed import get_worker
    from distributed.comm.addressing import get_address_host

    environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))}
    # By its address, as the scheduler knows it: a host's own name need not be what others call it.
    environment[MACHINE] = get_address_host(get_worker().address)
    command = [sys.executable, "-m", "ltbench.engine.executors.job", folder, name]
    log = Path(folder) / "logs" / f"{name}.log"
    # The pipe stays open: the program ends when this process does, however that ends.
    with (
        log.open("ab") as said,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=said, env=environment) as child,
    ):
        while child.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                child.wait(1.0)
            if is_cancelled(Path(folder), name):
                child.terminate()
    if child.returncode == 0:
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else f"it ended with code {child.returncode}"


class DaskExecutor:
    """Submits jobs to a scheduler.

    Args:
        address: ``tcp://HOST:8786``.
        threads: CPU threads of a run.
        jobs: jobs that wait or run at a time; 0 for as many as there are.

    Raises:
        UserError: nobody answers there.
    """

    lasting: ClassVar[bool] = True
    heeds: ClassVar[frozenset[str]] = frozenset({"gpus"})

    def __init__(self, address: str, threads: int, jobs: int = 0) -> None:
        from distributed import Client

        self._threads = threads
        self._jobs = jobs
        try:
            self._client: Any = Client(address, timeout=ANSWERS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise UserError(
                f"no dask scheduler answers at {address} ({one_line(error)})", "dask scheduler, or mend the address"
            ) from error
        self._futures: dict[str, Any] = {}
        self._choosy: dict[str, Job] = {}

    def room(self) -> int | None:
        """The scheduler queues what its workers cannot run yet."""
        return self._jobs or None

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """One task a job, which goes on when this process ends."""
        for job in jobs:
            wanted = {GPU: job.resources.gpus} if job.resources.gpus else None
            self._check(wanted)
            hosts = self._others(job.avoid, wanted) if job.avoid else []
            self._submit(job, wanted, hosts)
            if hosts:
                self._choosy[job.name] = job
        return [job.name for job in jobs]

    def _submit(self, job: Job, wanted: dict[str, int] | None, hosts: list[str]) -> None:
        from distributed import fire_and_forget

        assert job.folder is not None, "jobs of a cluster are in a book"
        # Pure would give two tasks of one name; retries are dask's own, for workers that die. Hosts are no mere
        # preference (allow_other_workers): an idle worker of an avoided host would steal what waits for a busy one.
        future = self._client.submit(
            run_here, str(job.folder), job.name, self._threads,
            key=_PREFIX + job.name, pure=False, resources=wanted, workers=hosts or None,
        )  # fmt: skip
        fire_and_forget(future)
        self._futures[job.name] = future

    def _others(self, avoid: Sequence[str], wanted: dict[str, int] | None) -> list[str]:
        """Hosts of workers that could take a job, without those to avoid; none where there are no others."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        able = {worker["host"] for worker in workers if not wanted or GPU in (worker.get("resources") or {})}
        return sorted(able.difference(avoid))

    def _check(self, wanted: dict[str, int] | None) -> None:
        """Refuse what no worker could ever take, which dask would let wait for ever."""
        if wanted is None:
            return
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        if workers and not any(GPU in (worker.get("resources") or {}) for worker in workers):
            raise UserError(
                "jobs take a graphics processor each, and no worker of the scheduler says that it has any",
                f'dask worker ADDRESS --resources "{GPU}=1"',
            )

    def look(self, ids: Sequence[str]) -> dict[str, Seen]:
        """As the scheduler has its tasks; one that it no longer has is over."""
        keys = {name: _PREFIX + name for name in ids}
        try:
            states: dict[str, str] = self._client.run_on_scheduler(_states, keys=list(keys.values()))
        except (OSError, ValueError, TimeoutError):
            return dict.fromkeys(ids, Seen("unknown"))
        for name in [name for name in ids if name in self._choosy and states.get(keys[name]) == _NOBODY]:
            # The hosts that it was kept for have left.
            job = self._choosy.pop(name)
            self.cancel([name])
            self.submit([job])
        return {name: self._seen(name, states.get(key)) for name, key in keys.items()}

    def _seen(self, name: str, state: str | None) -> Seen:
        future = self._futures.get(name)
        if state in (None, "memory", "erred", "forgotten"):
            why = ""
            if future is not None and future.status == "finished":
                why = str(future.result())
            elif future is not None and future.status == "error":
                why = one_line(future.exception())
            self._futures.pop(name, None)
            self._choosy.pop(name, None)
            return Seen("over", why=why)
        known: State = "waiting" if state in _WAITING else "running"
        return Seen(known)

    def wait(self, seconds: float) -> None:
        """A second, since a look is cheap."""
        time.sleep(min(seconds, 1.0))

    def cancel(self, ids: Sequence[str]) -> None:
        """Take back tasks; the program of one that runs ends when it sees in the book that it is given up."""
        from distributed import Future

        self._client.cancel([Future(_PREFIX + name, self._client) for name in ids], force=True)
        for name in ids:
            self._futures.pop(name, None)

    def close(self) -> None:
        """Leave the scheduler; its tasks go on."""
        self._futures.clear()
        self._client.close()


def _states(keys: Sequence[str], dask_scheduler: Any = None) -> dict[str, str]:
    """State of each task that the scheduler has; runs there."""
    return {key: str(dask_scheduler.tasks[key].state) for key in keys if key in dask_scheduler.tasks}


def open_dask(options: ExecutorOptions) -> DaskExecutor:
    """The scheduler at an address.

    Raises:
        UserError: dask is not installed, or nobody answers there.
    """
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise UserError(
            "executor dask needs dask.distributed, which is not installed", "pip install 'ltbench[dask]'"
        ) from error
    if options.settings:
        raise UserError(f"dask has no setting {min(options.settings)!r}", "mend the resources file")
    assert options.address is not None
    return DaskExecutor(options.address, options.threads, options.jobs)
