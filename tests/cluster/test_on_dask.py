"""A sweep on dask's own cluster of one machine: whoever is killed there, each run is made once."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from ltbench.engine.elsewhere import Elsewhere
from ltbench.engine.how import SweepOptions
from ltbench.engine.sweep import sweep
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.engine.where import Where
from ltbench.method.local import use_file
from ltbench.plugin.errors import UserError
from ltbench.records.read import all_records

distributed = pytest.importorskip("distributed", reason="needs the extra dask")
PLAN = SweepPlan.of(("shapes-micro",), ("linear-probe",), seeds=(0, 1), weights="random", backbone="tiny-clip")
#: Seconds within which a machine that does much besides has begun what is to be killed.
PATIENCE = 240.0


def kill(killed: list[int]) -> None:
    """Kill the first program of a job that is started below this process, and then the worker that watches another."""
    end = time.monotonic() + PATIENCE
    while len(killed) < 2 and time.monotonic() < end:
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                if "ltbench.engine.executors.job" in process.cmdline() and process.pid not in killed:
                    found = process if not killed else process.parent()
                    assert found is not None
                    os.kill(found.pid, signal.SIGKILL)
                    killed.append(found.pid)
                    break
        time.sleep(0.05)


@pytest.mark.slow
def test_a_program_and_a_worker_are_killed(tmp_path: Path) -> None:
    options, killed = SweepOptions(out=tmp_path / "runs"), list[int]()
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        where = Where("dask", cluster.scheduler_address)
        watcher = threading.Thread(target=kill, args=(killed,))
        watcher.start()
        results = sweep(PLAN, options, where=where)
        watcher.join()
        assert len(killed) == 2
        assert [(result.status, result.reused, result.reason) for result in results] == [("completed", False, "")] * 2
        # One job for each run, and one for the program that was killed; a killed worker's goes to another worker.
        assert len(list((tmp_path / "runs").glob("sweeps/*/jobs/*.json"))) == 3
        assert len(all_records([tmp_path / "runs"]).records) == 2
        assert len(list((tmp_path / "runs").rglob("attempt-*"))) == 2
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


#: Fails as a full disk does on one host, and takes its time on the other until that has happened and some more.
OWN = """
import errno
import os
import time
from pathlib import Path

from ltbench_baselines.clip.linear import LinearProbe


class Own(LinearProbe):
    def stages(self, context):
        failed = Path("failed")
        if os.environ["LTBENCH_MACHINE"] == "127.0.0.1":
            with failed.open("a") as file:
                file.write("x")
            raise OSError(errno.ENOSPC, "No space left on device")
        if not failed.exists():
            while not failed.exists():
                time.sleep(0.1)
            time.sleep(8.0)
        return super().stages(context)
"""


@pytest.mark.slow
def test_a_host_whose_disk_is_full_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one is busy when the failed run is submitted again, and the idle one would steal it."""
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN)
    plan = SweepPlan.of(("shapes-micro",), (use_file("own.py"),), seeds=(0, 1), weights="random", backbone="tiny-clip")
    nothing = {"dashboard": False, "dashboard_address": None}
    hosts = {
        host: {"cls": distributed.Nanny, "options": {"host": host, "nthreads": 1, **nothing}}
        for host in ("127.0.0.1", "127.0.0.2")
    }
    scheduler = {"cls": distributed.Scheduler, "options": {"host": "127.0.0.1", **nothing}}
    with distributed.SpecCluster(workers=hosts, scheduler=scheduler) as cluster:
        results = sweep(plan, SweepOptions(out=tmp_path / "runs"), where=Where("dask", cluster.scheduler_address))
    assert [(result.status, result.reason) for result in results] == [("completed", "")] * 2
    assert Path("failed").read_text() == "x"
    assert len(list((tmp_path / "runs").glob("sweeps/*/jobs/*.json"))) == 3
