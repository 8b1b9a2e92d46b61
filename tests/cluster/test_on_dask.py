"""A sweep on dask's own cluster of one machine; a program that is killed there is tried once more."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from ltbench.engine.elsewhere import Elsewhere
from ltbench.engine.how import SweepOptions
from ltbench.engine.sweep import sweep
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.engine.where import Where
from ltbench.plugin.errors import UserError
from ltbench.records.read import all_records

distributed = pytest.importorskip("distributed", reason="needs the extra dask")
PLAN = SweepPlan.of(("shapes-micro",), ("linear-probe",), seeds=(0, 1), weights="random", backbone="tiny-clip")


def kill_one(killed: list[int]) -> None:
    """Kill the first program of a job that this process starts."""
    end = time.monotonic() + 120
    while not killed and time.monotonic() < end:
        for child in psutil.Process().children():
            if "ltbench.engine.executors.job" in child.cmdline():
                os.kill(child.pid, signal.SIGKILL)
                killed.append(child.pid)
                return
        time.sleep(0.05)


@pytest.mark.slow
def test_a_sweep_on_a_local_cluster(tmp_path: Path) -> None:
    options, killed = SweepOptions(out=tmp_path / "runs"), list[int]()
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        where = Where("dask", cluster.scheduler_address)
        watcher = threading.Thread(target=kill_one, args=(killed,))
        watcher.start()
        results = sweep(PLAN, options, where=where)
        watcher.join()
        assert len(killed) == 1
        assert [(result.status, result.reused, result.reason) for result in results] == [("completed", False, "")] * 2
        # One job for each run, and one for what was killed.
        assert len(list((tmp_path / "runs").glob("sweeps/*/jobs/*.json"))) == 3
        assert len(all_records([tmp_path / "runs"]).records) == 2
        assert [result.reused for result in sweep(PLAN, options, where=where)] == [True, True]
        standing = Elsewhere(PLAN, options, where)
        assert [each.state for each in standing.standing()] == ["completed", "completed"]
        assert standing.cancel() == []
        standing.close()


def test_nobody_answers_at_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltbench.engine.executors.on_dask.ANSWERS", 0.2)
    with pytest.raises(UserError, match=r"no dask scheduler answers at tcp://127\.0\.0\.1:9"):
        Elsewhere(PLAN, SweepOptions(out=tmp_path), Where("dask", "tcp://127.0.0.1:9"))
    with pytest.raises(UserError, match="needs the address of its scheduler"):
        Elsewhere(PLAN, SweepOptions(out=tmp_path), Where("dask"))
