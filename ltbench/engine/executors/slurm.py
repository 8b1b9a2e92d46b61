"""Jobs of a Slurm cluster, submitted by submitit in arrays. How a job stands is asked of ``squeue``.

Not of submitit, which asks Slurm's accounting: many clusters have none, and there a cancelled job never ends for it.
"""

from __future__ import annotations

import getpass
import math
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final

from ltbench.engine.executors.base import ExecutorOptions, Job, Seen, State
from ltbench.engine.executors.resources import Resources
from ltbench.plugin.errors import UserError
from ltbench.plugin.reading import one_line
from ltbench.plugin.system import ended_politely

#: Settings that a resources file may give under ``executors: {slurm: …}``; submitit's names.
SETTINGS: Final = (
    "account", "qos", "constraint", "exclude", "nodelist", "setup", "additional_parameters", "signal_delay_s",
    "comment", "mail_type", "mail_user", "srun_args", "use_srun",
)  # fmt: skip
_WAITING: Final = {"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "CONFIGURING"}
_OVER: Final = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "REVOKED", "TIMEOUT",
}  # fmt: skip
#: What a job asks for where the resources file names no time; a run that takes longer goes on in the job's next turn.
HOURS: Final = 4
#: Jobs of one array; Slurm's own default takes a thousand.
ARRAY: Final = 500
#: Times that a job may run into its time limit and go on in a new one.
_RENEWALS: Final = 1000
#: Seconds that a cancelled or preempted job stands still for Slurm to end it.
_PATIENCE: Final = 600.0


class RunJob:
    """What submitit calls on the node; asked to go on later, it is submitted again as it is."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name

    def __call__(self) -> None:
        """Make the runs of the job."""
        from ltbench.engine.executors.job import run_job

        with ended_politely():
            try:
                run_job(self.folder, self.name)
            except KeyboardInterrupt:
                # Cancelled, or preempted with time to spare. Only Slurm knows, and it is about to end this process: one
                # that ended by itself would count as done, and not be queued again.
                time.sleep(_PATIENCE)
                raise

    def checkpoint(self) -> Any:
        """What to queue again where the job is preempted or its time is up; runs go on from their last epoch."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(RunJob(self.folder, self.name))


class SlurmExecutor:
    """Submits arrays of jobs; needs ``sbatch``, ``srun``, ``squeue`` and ``scancel``.

    Args:
        logs: folder that all nodes share.
        threads: CPU threads of a run.
        settings: see :data:`SETTINGS`.
        jobs: jobs of an array that run at a time; 0 for as many as the cluster takes.
    """

    lasting: ClassVar[bool] = True
    heeds: ClassVar[frozenset[str]] = frozenset(Resources.model_fields)

    def __init__(self, logs: Path, threads: int, settings: dict[str, Any], jobs: int = 0) -> None:
        self._logs = logs
        self._threads = threads
        self._settings = settings
        self._jobs = jobs

    def room(self) -> None:
        """The cluster queues what it cannot run yet."""
        return

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Arrays, or one job."""
        return [name for start in range(0, len(jobs), ARRAY) for name in self._submit(jobs[start : start + ARRAY])]

    def _submit(self, jobs: Sequence[Job]) -> list[str]:
        import submitit
        from submitit.core import utils

        try:
            executor = submitit.SlurmExecutor(folder=self._logs, max_num_timeout=_RENEWALS)
        except RuntimeError as error:
            raise _no_slurm(one_line(error)) from error
        executor.update_parameters(**self._parameters(jobs[0].resources, len(jobs), jobs[0].avoid))
        calls = [RunJob(_folder(job), job.name) for job in jobs]
        try:
            with executor.batch():
                made = [executor.submit(call) for call in calls]
        except (utils.FailedJobError, utils.FailedSubmissionError, subprocess.SubprocessError, OSError) as error:
            if jobs[0].avoid:
                # No other node could take them, or none has this name.
                return self._submit([replace(job, avoid=()) for job in jobs])
            raise UserError(f"Slurm refused the jobs: {one_line(error)}", "mend the resources file") from error
        return [str(job.job_id) for job in made]

    def _parameters(self, resources: Resources, count: int, avoid: Sequence[str] = ()) -> dict[str, Any]:
        cpus = resources.cpus or self._threads
        found: dict[str, Any] = {
            "job_name": "ltbench",
            "ntasks_per_node": 1,
            "cpus_per_task": cpus,
            # With it signals reach the job; and since Slurm 22.05 a step is granted its cores only where it asks.
            "use_srun": True,
            "srun_args": [f"--cpus-per-task={cpus}"],
            "array_parallelism": self._jobs or count,
            "signal_delay_s": 90,
            "stderr_to_stdout": True,
        }
        found |= {"gpus_per_node": resources.gpus} if resources.gpus else {}
        found |= {"partition": resources.partition} if resources.partition else {}
        found["time"] = max(1, math.ceil((resources.time or HOURS * 3600) / 60))
        mine = dict(self._settings)
        found["srun_args"] += mine.pop("srun_args", [])
        more = dict(mine.pop("additional_parameters", {}))
        if resources.memory:
            # Not as submitit's own parameter, which takes whole gigabytes.
            more["mem"] = f"{resources.memory // 2**20}M"
        if avoid:
            mine["exclude"] = ",".join(filter(None, [mine.get("exclude"), *avoid]))
        return {**found, **mine, "additional_parameters": more}

    def look(self, ids: Sequence[str]) -> dict[str, Seen]:
        """As ``squeue`` lists them; what it no longer lists is over."""
        if not ids:
            return {}
        try:
            listed = _asked(["squeue", "--noheader", "--array", f"--user={getpass.getuser()}", "--format=%i %T"])
        except UserError:
            return dict.fromkeys(ids, Seen("unknown"))
        states = dict(line.split()[:2] for line in listed.splitlines() if len(line.split()) >= 2)
        return {name: _seen(states.get(name)) for name in ids}

    def wait(self, seconds: float) -> None:
        """Slurm tells nobody that a job has ended."""
        time.sleep(seconds)

    def cancel(self, ids: Sequence[str]) -> None:
        """``scancel``."""
        for start in range(0, len(ids), 500):
            _asked(["scancel", "--quiet", *ids[start : start + 500]])

    def close(self) -> None:
        """Nothing is held."""


def _folder(job: Job) -> Path:
    assert job.folder is not None, "jobs of a cluster are in a book"
    return job.folder


def _seen(state: str | None) -> Seen:
    if state is None:
        return Seen("over")
    if state in _OVER:
        return Seen("over", why="" if state == "COMPLETED" else f"Slurm says {state}")
    known: State = "waiting" if state in _WAITING else "running"
    return Seen(known)


def _asked(command: list[str]) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    except FileNotFoundError as error:
        raise _no_slurm(f"{command[0]} is not on PATH") from error
    except (subprocess.SubprocessError, OSError) as error:
        told = " ".join(str(getattr(error, "stderr", None) or error).split())
        raise UserError(f"{command[0]} does not answer: {told}", "the same command again, later") from error


def _no_slurm(why: str) -> UserError:
    return UserError(f"this machine submits to no Slurm cluster ({why})", "a login node of the cluster")


def open_slurm(options: ExecutorOptions) -> SlurmExecutor:
    """The cluster that this machine submits to.

    Raises:
        UserError: submitit is not installed, no Slurm is here, or a setting is none that it has.
    """
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise UserError(
            "executor slurm needs submitit, which is not installed", "pip install 'ltbench[slurm]'"
        ) from error
    strange = sorted(set(options.settings) - set(SETTINGS))
    if strange:
        raise UserError(
            f"Slurm has no setting {strange[0]!r}; known are {', '.join(SETTINGS)}", "mend the resources file"
        )
    _asked(["squeue", "--version"])
    assert options.folder is not None
    return SlurmExecutor(options.folder, options.threads, dict(options.settings), options.jobs)
