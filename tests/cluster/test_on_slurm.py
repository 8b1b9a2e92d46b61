"""Sweeps on a Slurm cluster: nothing is lost and nothing made twice, whatever becomes of jobs and nodes.

Skipped where no cluster answers; ``tests/cluster/run.sh`` starts one on this machine and runs them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

from ltbench.cli.root import cli
from ltbench.records.read import all_records

pytestmark = pytest.mark.slow
EPOCHS = 240
#: A method whose epochs take a twentieth of a second on any machine, so that each is stopped where it should be.
PACED = '''
import time

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ltbench.method import GradientStage, Method, MethodConfig, Needs, ParamGroup


class Net(nn.Module):
    def __init__(self, dim, classes):
        super().__init__()
        self.head = nn.Linear(dim, classes)

    def logits(self, batch):
        return self.head(batch.input)

    def loss(self, batch):
        time.sleep(0.05)
        return {"loss": binary_cross_entropy_with_logits(self.logits(batch), (batch.observed > 0).float())}


class Paced(Method):
    """A linear head that takes its time."""

    class Config(MethodConfig):
        epochs: int = 1

    def needs(self):
        return Needs(input="global")

    def stages(self, context):
        net = Net(context.backbone.card.dim, len(context.class_names))
        groups = [ParamGroup(list(net.parameters()), 0.1)]
        return [GradientStage("train", net, groups, epochs=self.config.epochs, batch_size=len(context.observed))]
'''
#: Seconds within which a machine that does much besides has done what is waited for.
PATIENCE = 240.0


def listed() -> str:
    return subprocess.run(["squeue", "--noheader", "--array", "--format=%i %T"], capture_output=True, text=True).stdout


@pytest.fixture(autouse=True)
def cluster() -> None:
    pytest.importorskip("submitit", reason="needs the extra slurm")
    if shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True).returncode != 0:
        pytest.skip("no Slurm cluster answers; bash tests/cluster/run.sh starts one here")


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """``ltbench sweep`` of a plan on the cluster, with its JSON."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ltbench.engine.executors.drive.EVERY", 1.0)
    Path("resources.yaml").write_text("default: {cpus: 1, time: 30m}\n", encoding="utf-8")

    def typed(*words: str) -> Any:
        command = ["sweep", "--plan", "plan.yaml", "--executor", "slurm", "--resources", "resources.yaml", "--json"]
        if Path("paced.py").exists():
            command += ["--method-file", "paced.py"]
        result = CliRunner().invoke(cli, [*command, *words], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return typed


def plan(method: str, seeds: str) -> None:
    text = f"tasks: [shapes-micro]\nmethods: [{method}]\nseeds: {seeds}\nweights: random\nbackbone: tiny-clip\n"
    Path("plan.yaml").write_text(text, encoding="utf-8")


def until(true: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.1)
    logs = [path.read_text(encoding="utf-8") for path in Path("ltbench-runs").glob("sweeps/*/logs/*.out")]
    raise AssertionError(f"{what} did not happen in {PATIENCE:.0f} s; the queue is {listed()!r}; jobs said {logs}")


def told() -> list[dict[str, Any]]:
    """What jobs told of runs."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in Path("ltbench-runs").glob("sweeps/*/told/*.json")]


def test_jobs_are_left_alone_asked_for_and_followed(sweep: Callable[..., Any]) -> None:
    plan("linear-probe", "[0, 1]")
    submitted = sweep("--detach")
    assert (submitted["runs"], submitted["recorded"], len(submitted["jobs"])) == (2, 0, 2)
    assert {each["state"] for each in sweep("--status")} <= {"waiting", "running", "completed"}
    # The jobs of the call before are followed; none is submitted for the same runs.
    results = sweep()
    assert [result["status"] for result in results] == ["completed", "completed"]
    assert len(list(Path("ltbench-runs/sweeps").glob("*/jobs/*.json"))) == 2
    assert len(all_records([Path("ltbench-runs")]).records) == 2
    assert [result["reused"] for result in sweep()] == [True, True]
    assert sweep("--detach")["jobs"] == []
    assert [each["state"] for each in sweep("--status")] == ["completed", "completed"]


def test_what_a_full_disk_failed_on_one_node_is_made_on_another(
    sweep: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(os.environ.get("SLURM_CONF", "")).parent
    if not (folder / "scratch").is_dir() or (folder / "unmounted").exists():
        pytest.skip("no node here has a small disk of its own; tests/cluster/slurm.sh mounts one where it may")
    monkeypatch.setenv("LTBENCH_CACHE", str(folder / "scratch"))
    plan("zero-shot", "[0]")
    # The node that jobs go to first, and left to itself a second time as well.
    (job,) = sweep("--detach")["jobs"]
    (failed,) = until(told, "the end of a job that cannot write")
    assert (failed["status"], failed["machine"]) == ("crashed", "full")
    assert "the disk is full" in failed["reason"]
    assert not all_records([Path("ltbench-runs")]).records
    until(lambda: job not in listed(), "the job's end")
    (standing,) = sweep("--status")
    assert standing["state"] == "crashed"
    (result,) = sweep()
    assert (result["status"], result["reused"]) == ("completed", False)
    (made,) = told()
    assert made["machine"] == "roomy"
    # One that went there unasked, one that was tried there again, and the one that went elsewhere.
    assert len(list(Path("ltbench-runs/sweeps").glob("*/jobs/*.json"))) == 3
    assert len(all_records([Path("ltbench-runs")]).records) == 1
    assert len(list(Path("ltbench-runs").rglob("attempt-*"))) == 1


def test_a_killed_requeued_and_cancelled_run_makes_each_epoch_once(sweep: Callable[..., Any]) -> None:
    Path("paced.py").write_text(PACED, encoding="utf-8")
    plan(f"{{method: local.paced, options: {{epochs: {EPOCHS}}}}}", "[0]")

    def epochs() -> list[int]:
        found = [path.read_text(encoding="utf-8") for path in Path("ltbench-runs").rglob("log.jsonl")]
        # The last line may be half written.
        lines = [json.loads(line) for text in found for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [line["epoch"] for line in lines if "epoch" in line]

    def running() -> psutil.Process | None:
        """The process that makes the run: a child of the job's."""
        for process in psutil.process_iter():
            try:
                above = process.parent()
                if (
                    above is not None
                    and "submitit.core._submit" in above.cmdline()
                    and "--multiprocessing-fork" in process.cmdline()
                ):
                    return process
            except psutil.Error:
                continue
        return None

    (job,) = sweep("--detach")["jobs"]
    until(lambda: len(epochs()) > 8, "the run's beginning")
    worker = running()
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    before = len(epochs())
    until(lambda: len(epochs()) > before + 8, "another try in the same job")
    subprocess.run(["scontrol", "requeue", job], check=True)
    before = len(epochs())
    until(lambda: len(epochs()) > before + 8, "the requeued job's going on")
    assert sweep("--cancel")["cancelled"] == [job]
    until(lambda: job not in listed(), "the end of the cancelled job")
    assert [each["state"] for each in sweep("--status")] == ["open"]
    assert not all_records([Path("ltbench-runs")]).records
    cut = len(epochs())
    assert cut < EPOCHS, "the run had ended before it was cancelled: give it more epochs"
    (result,) = sweep()
    assert (result["status"], result["reused"]) == ("completed", False)
    # Whoever is stopped between an epoch's line in the log and its checkpoint makes that epoch again.
    assert set(epochs()) == set(range(EPOCHS))
    assert len(epochs()) <= EPOCHS + 3
    assert len(all_records([Path("ltbench-runs")]).records) == 1
