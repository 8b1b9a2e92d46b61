"""A program of its own: jobs that are killed with signal 9 at random moments, again and again, and then left in peace.

Everything is imported once, and each attempt is a forked process. After every kill, what was recorded before has to be
there, byte for byte; at the end the result has to be the one of a job that nobody disturbed. Then each job meets disks
that are full: such on which no file may grow beyond some bytes, and, where this user may mount one, such of a few
kilobytes in all.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from engine.killed import TOY

from ltbench.cli import main as ltbench
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
from ltbench.report.site.place import MARK
from ltbench.report.write import write_board
from ltbench.tasks.registry import load_task

#: What is recorded, by what names it.
Kept = dict[str, bytes]
#: Kills of one job before it is left in peace.
IN_A_ROW = 6
#: Seconds that workers have to end after their parent.
GONE = 30.0


class Refused(Exception):
    """A command refused, as it may where a disk is full."""


def recorded(folder: Path) -> Kept:
    """Records of runs, those on leaderboards, and trials, each by itself."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("record.json")}
    found |= {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("records/*.json")}
    for path in folder.rglob("trials.json"):
        document = json.loads(path.read_text())
        for trial in [*document["trials"], *document.get("ahead", [])]:
            found[f"{path.relative_to(folder)}#{trial['number']}"] = json.dumps(trial).encode()
    return found


@dataclass(frozen=True)
class Job:
    """What is killed.

    Attributes:
        work: does all of it in a folder, or what is left of it.
        result: what came of it, to be compared.
        processes: so many at once, on the same folder; one of them is killed.
        share: of the kills, against that of other jobs.
        begin: what lies in the folder before.
        whole: refuses what a kill left half done; given what an undisturbed job left.
        cache: the job has a cache of its own in its folder, which each round begins without.
        lives: it starts processes of its own, and not all of it is in this one.
    """

    name: str
    work: Callable[[Path], None]
    result: Callable[[Path], Any]
    processes: int = 1
    share: float = 1.0
    begin: Callable[[Path], None] = lambda folder: None
    whole: Callable[[Path, Any], None] = lambda folder, wanted: None
    cache: bool = False
    lives: bool = False
    """Full disks are not tried with it, nor with several processes: each meets what one meets."""


def _command(*words: str | Path) -> None:
    code = ltbench([str(word) for word in words])
    if code == 2:
        raise Refused
    assert code == 0, f"exit code {code}"


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
        if result.status != "completed" and "disk is full" in result.reason:
            raise Refused
        assert result.status == "completed", sweep.describe(result)


_MICRO = ("--backbone", "tiny-clip", "--weights", "random", "--device", "cpu", "--out")


def _sweep_in_workers(folder: Path) -> None:
    methods = "zero-shot,linear-probe-lbfgs,linear-probe"
    _command(
        *("sweep", "--tasks", "shapes-micro", "--methods", methods, "--seeds", "0", "--jobs", "2", *_MICRO, folder)
    )


def _tune(folder: Path) -> None:
    request = RunRequest(
        load_task("shapes-micro"), "linear-probe", "tiny-clip", weights="random", out=folder, device="cpu"
    )
    tune(request, 3, 600.0, space={"lr": Choice((0.003, 0.01, 0.03)), "epochs": Choice((1, 2))})


def _trials(folder: Path) -> Any:
    found = []
    for record in sorted(folder.rglob("trials.json")):
        document = json.loads(record.read_text())
        preset = (record.parent / "preset.yaml").read_text()
        found.append(([{**trial, "seconds": 0} for trial in document["trials"]], preset))
    assert found
    return found


def _recommend(folder: Path) -> None:
    _command(
        *("recommend", "--task", "shapes-micro", "--methods", "zero-shot,linear-probe,linear-probe-lbfgs"),
        *("--trials", "2", "--seeds", "0", *_MICRO, folder),
    )


def _answer(folder: Path) -> Any:
    (path,) = folder.rglob("answer.json")
    document = json.loads(path.read_text())
    # How long things took differs, and so does where they lie.
    methods = [{**each, "train_seconds": 0} for each in document["methods"]]
    answer = {name: document[name] for name in ("curve", "curve_of", "cut", "metric", "notes", "task", "use")}
    return _logits(folder), _trials(folder), methods, answer


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


def _no_other_content(folder: Path, wanted: Any) -> None:
    other = [name for name, digest in _contents(folder).items() if wanted.get(name) != digest]
    assert not other, f"half a file, or another one: {other}"


def _import(runs: Path) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        found = import_records([runs], folder, VerifyReport, keep_all)
        assert not found.problems, found.problems
        for name, version in found.boards:
            write_board(folder, name, version)

    return work


def _kept_whole(folder: Path, wanted: Any) -> None:
    """Records and logits; pages are written again with each record that comes in."""
    other = [
        name
        for name, digest in _contents(folder).items()
        if "/records/" in name or "/logits/" in name
        if wanted.get(name) != digest
    ]
    assert not other, f"half a file, or another one: {other}"


def _site(runs: Path) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        _command("leaderboard", "--records", runs, "--site", folder / "site")

    return work


def _pages(folder: Path) -> Any:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (folder / "site").rglob("*")
        if path.is_file()
    }


def _old_or_new(old: Path) -> Callable[[Path, Any], None]:
    """The site from before or the new one, to the last byte."""

    def whole(folder: Path, wanted: Any) -> None:
        assert _pages(folder) in (_pages(old), wanted), "neither the old site nor the new one"
        assert f"site/{MARK}" in _pages(folder)

    return whole


def start(job: Job, folder: Path, limit: int | None = None) -> int:
    """Fork an attempt; ``limit`` is what a file may grow to, in bytes."""
    heard, said = os.pipe()
    child = os.fork()
    if child:
        os.close(said)
        threading.Thread(target=_listen, args=(heard, folder.parent / f"{folder.name}.said"), daemon=True).start()
        return child
    code = 1
    try:
        os.setpgid(0, 0)
        # Not a file: the attempt's words would be on the full disk.
        os.dup2(said, 1)
        os.dup2(said, 2)
        if job.cache:
            os.environ["LTBENCH_CACHE"] = str(folder / "cache")
        if limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        job.work(folder)
        code = 0
    except Refused:
        code = 2
    except UserError as error:
        code = 2
        print(error, flush=True)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _listen(heard: int, place: Path) -> None:
    """Keep what an attempt says, for the case that it fails."""
    said = b""
    while part := os.read(heard, 2**16):
        said = (said + part)[-4096:]
    os.close(heard)
    if place.parent.exists():
        place.write_bytes(said)


def ended(child: int) -> int:
    """Exit code of an attempt; minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _said(folder: Path) -> str:
    time.sleep(0.5)
    place = folder.parent / f"{folder.name}.said"
    return place.read_text(errors="replace") if place.exists() else ""


Peace = tuple[Any, float]


def _peace(job: Job, folder: Path) -> Peace:
    """The result of an undisturbed job, and the seconds that it takes."""
    folder.mkdir(parents=True)
    job.begin(folder)
    began = time.monotonic()
    assert ended(start(job, folder)) == 0, f"it does not even run in peace: {_said(folder)}"
    return job.result(folder), time.monotonic() - began


def _alone(group: int) -> None:
    """Workers whose parent was killed end by themselves."""
    until = time.monotonic() + GONE
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    raise AssertionError(f"workers of a killed parent were there after {GONE:.0f} s")


def war(job: Job, folder: Path, peace: Peace, kills: int, rng: random.Random) -> str:
    """Kill a job so many times.

    Returns:
        One line with the figures.

    Raises:
        AssertionError: something was lost, or came out otherwise.
    """
    wanted, whole = peace
    hit, rounds, known = 0, 0, Kept()
    folder.mkdir()
    while hit < kills:
        rounds += 1
        place = folder / f"war-{rounds}"
        place.mkdir()
        job.begin(place)
        over, first, before = False, True, hit
        # Left in peace now and then, so that many results are compared.
        while hit < kills and not over and hit - before < IN_A_ROW:
            children = [start(job, place) for _ in range(job.processes)]
            # What goes on has less to do than what begins.
            time.sleep(rng.uniform(0.0, 0.9 if first else 0.6) * whole)
            first = False
            os.kill(children[0], signal.SIGKILL)
            codes = [ended(child) for child in children]
            hit += codes[0] == -signal.SIGKILL
            if job.lives:
                _alone(children[0])
            assert all(code in (0, -signal.SIGKILL) for code in codes), f"{codes}: {_said(place)}"
            over = 0 in codes
            now = recorded(place)
            lost = [path for path, content in known.items() if now.get(path) != content]
            assert not lost, f"recorded, and lost: {lost}"
            known = now
            job.whole(place, wanted)
        assert ended(start(job, place)) == 0, _said(place)
        assert job.result(place) == wanted, "another result"
        known = {}
        shutil.rmtree(place)
    return f"{job.name}: {hit} kills in {rounds} rounds, nothing lost, the same result"


def tiny(job: Job, folder: Path, peace: Peace, limits: tuple[int, ...]) -> str:
    """Let a job meet the end of the disk at several places, one after the other, then finish it, and meet it again."""
    wanted, place = peace[0], folder / "disk"
    place.mkdir(parents=True)
    job.begin(place)
    refused, known = 0, Kept()
    for limit in (*limits, None, limits[0]):
        code = ended(start(job, place, limit))
        assert code in (0, 2), f"exit code {code} where no file may have more than {limit} bytes: {_said(place)}"
        assert limit is not None or code == 0, _said(place)
        refused += code == 2
        now = recorded(place)
        lost = [path for path, content in known.items() if now.get(path) != content]
        assert not lost, f"recorded, and lost: {lost}"
        known = now
        job.whole(place, wanted)
    assert job.result(place) == wanted, "another result"
    return f"{job.name}: {len(limits) + 1} limits of a file, {refused} attempts refused in one line, the same result"


@contextmanager
def _mounted(place: Path, size: int) -> Iterator[bool]:
    """A disk of so many bytes; whether there is one."""
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)]
    if subprocess.run(words, stderr=subprocess.DEVNULL).returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", str(place)], check=True)


def small(job: Job, folder: Path, peace: Peace, sizes: tuple[int, ...]) -> str:
    """Let a job fill disks of so many bytes in all, then give them room."""
    wanted, refused = peace[0], 0
    folder.mkdir()
    for size in sizes:
        disk = folder / f"disk-{size}"
        with _mounted(disk, size) as there:
            if not there:
                return f"{job.name}: no small disks, since this user may not mount any"
            place = disk / "here"
            place.mkdir()
            try:
                job.begin(place)
            except OSError:
                continue
            code = ended(_fork_in(job, place, folder / f"said-{size}"))
            assert code in (0, 2), f"exit code {code} on a disk of {size} bytes: {_said(folder / f'said-{size}')}"
            refused += code == 2
            known = recorded(place)
            job.whole(place, wanted)
            subprocess.run(["mount", "-o", "remount,size=1g", str(disk)], check=True)
            assert ended(_fork_in(job, place, folder / f"said-{size}")) == 0, _said(folder / f"said-{size}")
            now = recorded(place)
            assert all(now.get(path) == content for path, content in known.items()), "recorded, and lost"
            assert job.result(place) == wanted, "another result"
    return f"{job.name}: {len(sizes)} small disks, {refused} attempts refused in one line, then the same result"


def _fork_in(job: Job, place: Path, said: Path) -> int:
    """An attempt whose words go elsewhere than to the disk that is full."""
    moved = Job(job.name, lambda _: job.work(place), job.result, cache=False)
    if job.cache:
        moved = Job(job.name, partial(_with_cache, job.work, place), job.result)
    return start(moved, said)


def _with_cache(work: Callable[[Path], None], place: Path, _: Path) -> None:
    os.environ["LTBENCH_CACHE"] = str(place / "cache")
    work(place)


def jobs(folder: Path) -> list[Job]:
    """All jobs."""
    runs, old = folder / "runs", folder / "old"

    def with_runs(place: Path) -> None:
        if not runs.exists():
            with redirect_stdout(io.StringIO()):
                _run(runs)
                _command("leaderboard", "--records", runs, "--site", old / "site")
                _sweep(runs)

    def with_site(place: Path) -> None:
        with_runs(place)
        shutil.copytree(old / "site", place / "site")

    content = random.Random(1).randbytes(3_000_000)
    digest = hashlib.sha256(content).hexdigest()
    source = Source("list.bin", "https://example.org/list.bin", digest, len(content), "none")
    mirrored = folder / "mirror" / source.layout
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(content)
    os.environ["LTBENCH_MIRROR"] = str(folder / "mirror")
    return [
        Job("run", _run, _logits, cache=True),
        Job("sweep", _sweep, _logits),
        Job("sweep, two processes on one store", _sweep, _logits, 2),
        Job("sweep in two workers", _sweep_in_workers, _logits, share=0.4, lives=True),
        Job("tune", _tune, _trials),
        Job("recommend", _recommend, _answer, cache=True),
        Job("prepare", _prepare(source), _contents, whole=_no_other_content),
        Job("prepare, two processes on one cache", _prepare(source), _contents, 2, whole=_no_other_content),
        Job("import", _import(runs), _contents, whole=_kept_whole, begin=with_runs),
        Job(
            "import, two processes on one leaderboard", _import(runs), _contents, 2, whole=_kept_whole, begin=with_runs
        ),
        Job("site", _site(runs), _pages, whole=_old_or_new(old), begin=with_site),
        Job("site, two processes on one folder", _site(runs), _pages, 2, whole=_old_or_new(old), begin=with_site),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=240, help="of all jobs together, at least")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="jobs whose names begin so")
    parser.add_argument("--limits", type=int, nargs="*", default=[0, 2_000, 20_000, 500_000])
    parser.add_argument("--disks", type=int, nargs="*", default=[2**14, 2**17, 2**20])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    began, failed = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as name, extra_specs([TOY]):
        folder = Path(name)
        chosen = [job for job in jobs(folder) if job.name.startswith(asked.only)]
        shares = sum(job.share for job in chosen)
        for number, job in enumerate(chosen):
            each = -int(-asked.kills * job.share // shares)
            rng = random.Random(asked.seed * 1000 + number)
            try:
                peace = _peace(job, folder / f"peace{number}")
            except AssertionError as error:
                failed += 1
                print(f"{job.name}: FAILED: {error}", flush=True)
                continue
            attacks: Mapping[str, Callable[[], str]] = {
                "kills": partial(war, job, folder / f"war{number}", peace, each, rng),
                "limits": partial(tiny, job, folder / f"limits{number}", peace, tuple(asked.limits)),
                "disks": partial(small, job, folder / f"disks{number}", peace, tuple(asked.disks)),
            }
            for what, attack in attacks.items():
                if what != "kills" and (job.processes > 1 or job.lives or not getattr(asked, what)):
                    continue
                since = time.monotonic()
                try:
                    print(f"{attack()}; {time.monotonic() - since:.0f} s", flush=True)
                except (AssertionError, OSError) as error:
                    failed += 1
                    print(f"{job.name}, {what}: FAILED: {type(error).__name__}: {error}", flush=True)
    print(f"{len(chosen)} jobs, {failed} failed; {time.monotonic() - began:.0f} s")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
