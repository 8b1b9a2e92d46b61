"""A program of its own: runs a slow toy once in peace, then again while it is killed at random moments until it ends.

It imports everything once and forks a process for each attempt, which is killed with signal 9 like any other.
Prints one line of JSON. Arguments: a folder, the number of kills, a seed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from ltbench.engine import _mmengine  # noqa: F401  (imported here so that no attempt has to)
from ltbench.engine.request import RunRequest
from ltbench.engine.run import run_one
from ltbench.plugin import MethodSpec
from ltbench.plugin.manager import extra_specs
from ltbench.tasks.registry import load_task

TOY = MethodSpec(name="slow", target="engine.slow_toy:Slow", summary="a slow toy")


def attempt(out: Path) -> None:
    request = RunRequest(load_task("shapes-micro"), "slow", "tiny-clip", weights="random", out=out, device="cpu")
    run_one(request)


def start(out: Path) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            attempt(out)
            code = 0
        finally:
            os._exit(code)
    return child


def epochs_done(out: Path) -> int:
    """Finished epochs so far, over both stages; -1 before the first checkpoint."""
    logs = list(out.glob("*/*/*/attempt-1/log.jsonl"))
    if not logs or not list(out.glob("*/*/*/attempt-1/checkpoints/*.pt")):
        return -1
    return sum('"epoch"' in line for line in logs[0].read_text().splitlines())


def wait_for_progress(out: Path, child: int) -> None:
    """Until another epoch is done, or the process has ended without one."""
    before, deadline = epochs_done(out), time.monotonic() + 60
    while epochs_done(out) <= before and time.monotonic() < deadline:
        time.sleep(0.005)
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return


def main(folder: Path, kills: int, seed: int) -> None:
    torch.set_num_threads(1)
    rng = random.Random(seed)
    with extra_specs([TOY]):
        os.waitpid(start(folder / "warm-up"), 0)  # renders the images and fills the feature cache
        began = time.monotonic()
        assert os.waitpid(start(folder / "peace"), 0)[1] == 0
        whole = time.monotonic() - began
        found: list[int] = []
        finished_early = 0
        while len(found) < kills:
            child = start(folder / "war")
            if len(found) % 3 == 2:
                time.sleep(rng.uniform(0.05, 0.9) * whole)  # any moment, also before the first step
            else:
                wait_for_progress(folder / "war", child)
                time.sleep(rng.uniform(0.0, 0.15))  # within the next epochs, or while a checkpoint is written
            if os.waitpid(child, os.WNOHANG)[0]:
                finished_early = 1
                break
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            found.append(epochs_done(folder / "war"))
        code = 0 if finished_early else os.waitpid(start(folder / "war"), 0)[1]
    print(json.dumps({"seconds": round(whole, 2), "killed_after_epochs": found, "code": code}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
