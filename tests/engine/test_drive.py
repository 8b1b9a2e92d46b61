"""Runs through an executor: made once each, tried again once where a job dies, left to others where they make them."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ltbench.engine.cells import Cell, CellResult, expand, work
from ltbench.engine.executors import drive as driving
from ltbench.engine.executors import job as jobs
from ltbench.engine.executors.base import Job, Seen
from ltbench.engine.executors.book import SweepBook, books
from ltbench.engine.executors.drive import drive, new_name
from ltbench.engine.executors.local import begin_process, deal, open_local
from ltbench.engine.executors.resources import Resources, ResourcesFile
from ltbench.engine.executors.slurm import SlurmExecutor
from ltbench.engine.how import SweepOptions
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.plugin.errors import UnknownName, UserError
from ltbench.plugin.files import explain_os_error
from ltbench.plugin.sealed import read_sealed_json, write_sealed_json
from ltbench.plugin.system import graphics_processors

PLAN = SweepPlan.of(("shapes-micro",), ("linear-probe",), seeds=(0, 1, 2), weights="random", backbone="tiny-clip")
CELLS = expand(PLAN)


class Pretended:
    """An executor in which each job ends as the next word of its script says, at the look after it was submitted."""

    lasting = True
    heeds = frozenset({"cpus"})

    def __init__(self, script: Sequence[str], room: int | None = None) -> None:
        self.script = list(script)
        self.most = room
        self.jobs: dict[str, tuple[Job, str]] = {}
        self.together: list[int] = []
        self.under_way: set[str] = set()

    def room(self) -> int | None:
        return self.most

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        self.together.append(len(jobs))
        for job in jobs:
            self.jobs[job.name] = job, self.script.pop(0)
            self.under_way.add(job.name)
        assert self.most is None or len(self.under_way) <= self.most
        return [job.name for job in jobs]

    def look(self, ids: Sequence[str]) -> dict[str, Seen]:
        return {name: self._look(name) for name in ids}

    def _look(self, name: str) -> Seen:
        job, word = self.jobs[name]
        if word in ("unknown", "running"):
            self.jobs[name] = job, "completed"
            return Seen(word)  # type: ignore[arg-type]
        self.under_way.discard(name)
        if word == "died":
            return Seen("over", why="the node failed")
        if word == "silent":
            return Seen("over")
        return Seen("over", tuple(CellResult(cell, word, 1.0) for cell in job.cells))

    def wait(self, seconds: float) -> None:
        pass

    def cancel(self, ids: Sequence[str]) -> None:
        pass

    def close(self) -> None:
        pass


def groups(*sizes: int) -> list[Job]:
    left = list(CELLS)
    return [Job(new_name(), tuple(left.pop(0) for _ in range(size)), PLAN, SweepOptions()) for size in sizes]


def driven(
    executor: Pretended, *sizes: int, ask: driving.Ask = lambda job, cell: None, **how: object
) -> dict[int, str]:
    results = list(drive(groups(*sizes), executor, ask=ask, settles=0.0, **how))  # type: ignore[arg-type]
    assert len({result.cell for result in results}) == len(results)
    return {result.cell.seed: result.status for result in results}


def test_each_run_has_one_result_and_jobs_no_more_than_their_room() -> None:
    executor = Pretended(["running", "completed", "unknown"], room=2)
    assert driven(executor, 1, 1, 1) == {0: "completed", 1: "completed", 2: "completed"}
    assert executor.together == [2, 1]
    assert driven(Pretended(["completed"] * 3), 1, 1, 1, most=1) == {0: "completed", 1: "completed", 2: "completed"}


def test_a_job_that_dies_is_tried_once_more_run_by_run() -> None:
    executor = Pretended(["died", "completed", "completed", "died"])
    results = list(drive(groups(2), executor, ask=lambda job, cell: None, settles=0.0))
    assert [result.status for result in results] == ["completed", "completed"]
    assert executor.together == [1, 2]
    executor = Pretended(["died", "died"])
    (result,) = drive(groups(1), executor, ask=lambda job, cell: None, settles=0.0)
    assert (result.status, result.reason) == ("crashed", "the node failed, twice")


def test_a_full_disk_on_one_node_costs_one_more_try() -> None:
    assert driven(Pretended(["crashed", "completed"]), 1, again=True) == {0: "completed"}
    assert driven(Pretended(["crashed", "crashed"]), 1, again=True) == {0: "crashed"}
    assert driven(Pretended(["crashed"]), 1) == {0: "crashed"}


def test_a_run_that_a_node_failed_is_not_sent_there_again() -> None:
    executor = Pretended(["crashed", "completed", "completed"])
    assert driven(executor, 1, 1, again=True, at=lambda cell: f"node-{cell.seed}") == {0: "completed", 1: "completed"}
    assert [job.avoid for job, _ in executor.jobs.values()] == [(), (), ("node-0",)]
    asked = SlurmExecutor(Path("logs"), 1, {"exclude": "old"})
    assert asked._parameters(Resources(), 1, ("node-0",))["exclude"] == "old,node-0"
    assert asked._parameters(Resources(), 1)["exclude"] == "old"


def test_a_full_disk_is_no_result_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object, **more: object) -> None:
        raise explain_os_error(OSError(errno.ENOSPC, "No space left on device"), "labels.npy")

    def refused(*given: object, **more: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    for prepare, why in ((full, "the disk is full: labels.npy"), (refused, "the machine failed here, not the method")):
        monkeypatch.setattr("ltbench.engine.run.prepare", prepare)
        result = work(CELLS[0], PLAN, SweepOptions(out=tmp_path))
        assert result.status == "crashed"
        assert why in result.reason


def test_a_job_that_said_nothing_is_asked_for_elsewhere() -> None:
    def ask(job: Job, cell: Cell) -> CellResult | None:
        return CellResult(cell, "completed", 2.0) if cell.seed == 0 else None

    executor = Pretended(["silent", "completed"])
    assert driven(executor, 2, ask=ask) == {0: "completed", 1: "completed"}
    assert executor.together == [1, 1]


def test_what_another_process_makes_is_taken_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driving, "SOON", 0.02)
    assert driven(Pretended(["busy", "completed", "busy", "completed"]), 1, 1) == {0: "completed", 1: "completed"}
    assert driven(Pretended(["busy"]), 1, until_busy=True) == {0: "busy"}


def test_jobs_of_an_earlier_call_are_followed_and_not_made_again() -> None:
    executor = Pretended(["running", "completed"])
    (before,) = groups(1)
    (identity,) = executor.submit([before])
    results = drive(
        [Job(new_name(), (CELLS[1],), PLAN, SweepOptions())], executor, ask=lambda job, cell: None,
        flying={identity: before},
    )  # fmt: skip
    assert {result.cell.seed: result.status for result in results} == {0: "completed", 1: "completed"}


def test_a_process_of_the_pool_takes_a_graphics_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ltbench.engine.executors.base import ExecutorOptions

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    executor = open_local(ExecutorOptions())
    assert (executor.room(), executor._gpus) == (min(2, executor.room()), ("3", "5"))
    shared = deal(("3", "5"), 3)
    assert shared is not None
    given = []
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    for _ in range(3):
        begin_process(1, shared)
        given.append(graphics_processors())
    assert given == [["3"], ["5"], ["3"]]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,-1,2")
    assert graphics_processors() == ["1"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    (tmp_path / "0000:17:00.0").mkdir()
    assert graphics_processors(tmp_path) == ["0"]
    assert open_local(ExecutorOptions(device="cpu"))._gpus == ()


RESOURCES = """
default: {cpus: 2, time: 4h}
methods:
  dr: {gpus: 1, memory: 16G, time: "12:00:00"}
group: 20m
executors:
  slurm: {account: vision}
"""


def test_resources_are_of_a_method_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "resources.yaml"
    file.write_text(RESOURCES, encoding="utf-8")
    found = ResourcesFile.read(file)
    assert found.of("zero-shot") == Resources(cpus=2, time=4 * 3600)
    assert found.of("dr") == Resources(cpus=2, gpus=1, memory=16 * 2**30, time=12 * 3600)
    assert found.most(["dr", "zero-shot"]) == Resources(cpus=2, memory=16 * 2**30, gpus=1)
    assert found.group == 1200
    found.check(["dr"], 2)
    with pytest.raises(UserError, match="jobs of dr get 2 CPUs, and its runs have 4 threads"):
        found.check(["dr"], 4)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("default: {cores: 2}", "cores"),
        ("default: {gpus: 2}", "gpus"),
        ("default: {time: soon}", "no time like"),
        ("default: {memory: 1}", "memory"),
        ("methods: {drr: {cpus: 1}}", "did you mean 'dr'"),
        ("executors: {slrm: {}}", "did you mean 'slurm'"),
        ("- cpus", "no mapping"),
    ],
)
def test_a_bad_file_of_resources_is_one_line(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "resources.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises((UserError, UnknownName), match=problem) as caught:
        ResourcesFile.read(file)
    assert "\n" not in str(caught.value)


def test_a_job_tells_the_book_and_goes_on_where_it_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LTBENCH_DATA", "data")
    options = SweepOptions(out=Path("runs"))
    book = SweepBook.begin(PLAN, options, CELLS, ["own.py:Own"])
    assert list(books(tmp_path / "runs")) == [book.folder]
    assert book.folder == tmp_path / "runs" / "sweeps" / book.folder.name
    job = Job(new_name(), tuple(CELLS[:2]), PLAN, options, folder=book.folder)
    book.add(job, "slurm")
    assert book.entries() == []
    book.submitted(job.name, "12_0")
    (entry,) = SweepBook(book.folder).entries("slurm")
    assert (entry.identity, entry.cells, entry.cancelled) == ("12_0", (0, 1), False)
    made: list[int] = []

    def one_then_killed(cells: list[Cell], job: Job) -> object:
        import os

        assert job.options.out == tmp_path / "runs"
        assert job.files == (str(tmp_path / "own.py") + ":Own",)
        assert os.environ["LTBENCH_DATA"] == str(tmp_path / "data")
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
        for cell in cells:
            if made == [0]:
                made.append(-1)
                raise KeyboardInterrupt
            made.append(cell.seed)
            yield CellResult(cell, "completed", 1.0, 50.0, record=tmp_path / "record.json")

    monkeypatch.setattr(jobs, "_made", one_then_killed)
    with pytest.raises(KeyboardInterrupt):
        jobs.run_job(book.folder, job.name)
    jobs.run_job(book.folder, job.name)
    assert made == [0, -1, 1]
    told = SweepBook(book.folder)
    assert [(told.told(cell, job.name) or replace_none(cell)).status for cell in told.cells] == [
        "completed", "completed", "none",
    ]  # fmt: skip
    assert told.told(told.cells[0], "another") is None
    book.cancelled(job.name)
    assert book.entry(job.name).cancelled
    monkeypatch.chdir("/")
    (tmp_path / "runs").rename(tmp_path / "moved")
    moved = tmp_path / "moved" / "sweeps" / book.folder.name
    document = read_sealed_json(moved / "plan.json")
    assert document["working"] == str(tmp_path)
    write_sealed_json(moved / "plan.json", {**document, "working": "/nowhere"})
    with pytest.raises(UserError, match="working folder /nowhere is not on this machine"):
        jobs.run_job(moved, job.name)


def replace_none(cell: Cell) -> CellResult:
    return replace(CellResult(cell, "none", 0.0))
