"""A program of its own: jobs that are killed with signal 9 at random moments, again and again, and then left in peace.

Everything is imported once, and each attempt is a forked process. After every kill, what was recorded before has to be
there, byte for byte; at the end the result has to be the one of a job that nobody disturbed. Then the same with disks
on which no file may grow beyond a few kilobytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from engine.killed import TOY

from ltbench.data.base import DataRoot
from ltbench.data.getting.fetch import fetch
from ltbench.data.getting.sources import Source
from ltbench.data.shapes import ensure_shapes
from ltbench.engine import (
    _mmengine,  # noqa: F401  (imported here so that no attempt has to)
    sweep,
)
from ltbench.engine.how import SweepOptions
from ltbench.engine.request import RunRequest
from ltbench.engine.run import run_one
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.engine.tune import tune
from ltbench.method import Choice
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import extra_specs
from ltbench.records.read import all_records
from ltbench.records.verify import VerifyReport
from ltbench.report.collect import import_records, keep_all
from ltbench.report.write import write_board
from ltbench.tasks.registry import load_task


@dataclass(frozen=True)
class Job:
    """What is killed.

    Attributes:
        work: does all of it in a folder, or what is left of it.
        result: what came of it, to be compared.
        processes: so many at once, on the same folder; one of them is killed.
    """

    name: str
    work: Callable[[Path], None]
    result: Callable[[Path], Any]
    processes: int = 1


def _run(folder: Path) -> None:
    run_one(RunRequest(load_task("shapes-micro"), "slow", "tiny-clip", weights="random", out=folder, device="cpu"))


def _logits(folder: Path) -> Any:
    found = all_records([folder])
    assert not found.problems, found.problems
    for entry in found.records:
        content = (entry.path.parent / "logits.safetensors").read_bytes()
        assert entry.record.logits is not None
        assert hashlib.sha256(content).hexdigest() == entry.record.logits.sha256
    return sorted((e.record.key, e.record.attempt, e.record.logits.sha256) for e in found.records)  # type: ignore[union-attr]


def _sweep(folder: Path) -> None:
    plan = SweepPlan.of(
        ("shapes-micro",), ("zero-shot", "linear-probe", "slow"), seeds=(0,), weights="random", backbone="tiny-clip"
    )
    options = SweepOptions(out=folder, device="cpu")
    for cell in sweep.expand(plan):
        result = sweep.work(cell, plan, options)
        assert result.status == "completed", sweep.describe(result)


def _tune(folder: Path) -> None:
    request = RunRequest(
        load_task("shapes-micro"), "linear-probe", "tiny-clip", weights="random", out=folder, device="cpu"
    )
    tune(request, 3, 600.0, space={"lr": Choice((0.003, 0.01, 0.03)), "epochs": Choice((1, 2))})


def _trials(folder: Path) -> Any:
    (record,) = folder.rglob("trials.json")
    document = json.loads(record.read_text())
    preset = (record.parent / "preset.yaml").read_text()
    return [{**trial, "seconds": 0} for trial in document["trials"]], preset


def _prepare(source: Source) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        ensure_shapes(folder, parts=("micro-train", "micro-test"))
        fetch(source, DataRoot(cache=folder))

    return work


def _contents(folder: Path) -> Any:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    # A manifest holds time stamps.
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name not in ("manifest.json", "lock") and path.suffix not in (".lock", ".tmp")
    }


def _import(runs: Path) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        found = import_records([runs], folder, VerifyReport, keep_all)
        assert not found.problems, found.problems
        for name, version in found.boards:
            write_board(folder, name, version)

    return work


def start(job: Job, folder: Path, limit: int | None = None) -> int:
    """Fork an attempt; ``limit`` is what a file may grow to, in bytes."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setpgid(0, 0)
        if limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        job.work(folder)
        code = 0
    except UserError:
        code = 2
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended(child: int) -> int:
    """Exit code of an attempt; minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def recorded(folder: Path) -> dict[Path, bytes]:
    """Everything that counts as recorded."""
    return {path: path.read_bytes() for path in folder.rglob("record.json")}


def war(job: Job, folder: Path, kills: int, rng: random.Random) -> str:
    """Kill a job so many times.

    Returns:
        One line with the figures.

    Raises:
        AssertionError: something was lost, or came out otherwise.
    """
    began = time.monotonic()
    assert ended(start(job, folder / "peace")) == 0, "it does not even run in peace"
    whole = time.monotonic() - began
    wanted = job.result(folder / "peace")
    hit, rounds, known = 0, 0, dict[Path, bytes]()
    while hit < kills:
        rounds += 1
        place = folder / f"war-{rounds}"
        over = False
        while hit < kills and not over:
            children = [start(job, place) for _ in range(job.processes)]
            time.sleep(rng.uniform(0.0, 0.9) * whole)
            os.kill(children[0], signal.SIGKILL)
            codes = [ended(child) for child in children]
            hit += codes[0] == -signal.SIGKILL
            assert all(code in (0, -signal.SIGKILL) for code in codes), codes
            over = 0 in codes
            now = recorded(place) if place.exists() else {}
            lost = [path for path, content in known.items() if now.get(path) != content]
            assert not lost, f"recorded, and lost: {lost}"
            known = now
        assert ended(start(job, place)) == 0
        assert job.result(place) == wanted, "another result"
        known = {}
    return f"{job.name}: {hit} kills in {rounds} rounds, nothing lost, the same result"


def tiny(job: Job, folder: Path, limits: tuple[int, ...]) -> str:
    """Let a job meet the end of the disk at several places, and then finish it."""
    assert ended(start(job, folder / "peace")) == 0
    wanted = job.result(folder / "peace")
    refused = 0
    for limit in limits:
        place = folder / f"disk-{limit}"
        before: dict[Path, bytes] = {}
        code = ended(start(job, place, limit))
        assert code in (0, 2), f"exit code {code} where no file may have more than {limit} bytes"
        refused += code == 2
        after = recorded(place) if place.exists() else {}
        assert before.items() <= after.items()
        assert ended(start(job, place)) == 0
        assert job.result(place) == wanted, "another result"
    return f"{job.name}: {len(limits)} tiny disks, {refused} of them refused in one line, then the same result"


def jobs(folder: Path) -> list[Job]:
    """All jobs; what some of them need is made first."""
    runs = folder / "runs"
    _sweep(runs)
    content = random.Random(1).randbytes(3_000_000)
    digest = hashlib.sha256(content).hexdigest()
    source = Source("list.bin", "https://example.org/list.bin", digest, len(content), "none")
    mirrored = folder / "mirror" / source.layout
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(content)
    os.environ["LTBENCH_MIRROR"] = str(folder / "mirror")
    return [
        Job("run", _run, _logits),
        Job("sweep", _sweep, _logits),
        Job("sweep, two processes on one store", _sweep, _logits, 2),
        Job("tune", _tune, _trials),
        Job("prepare", _prepare(source), _contents),
        Job("prepare, two processes on one cache", _prepare(source), _contents, 2),
        Job("import", _import(runs), _contents),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=210, help="of all jobs together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="jobs whose names begin so")
    parser.add_argument("--disks", type=int, nargs="*", default=[0, 200, 2_000, 20_000, 200_000, 2_000_000])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    failed = 0
    with tempfile.TemporaryDirectory() as name, extra_specs([TOY]):
        folder = Path(name)
        chosen = [job for job in jobs(folder) if job.name.startswith(asked.only)]
        for number, job in enumerate(chosen):
            each = asked.kills // len(chosen)
            rng = random.Random(asked.seed * 1000 + number)
            attacks = {
                "kills": partial(war, job, folder / f"war{number}", each, rng),
                "disks": partial(tiny, job, folder / f"disks{number}", tuple(asked.disks)),
            }
            for what, attack in attacks.items():
                try:
                    print(attack(), flush=True)
                except AssertionError as error:
                    failed += 1
                    print(f"{job.name}, {what}: FAILED: {error}", flush=True)
    print(f"{len(chosen)} jobs, {failed} failed")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
