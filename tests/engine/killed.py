"""A program of its own: runs a slow toy once in peace, then again while it is killed at random moments until it ends.

It imports everything once and forks a process for each attempt, which is killed with signal 9 like any other. An
attempt tells its steps through a pipe and may take as many as it was granted, so that on a busy machine, too, it is
killed where it should be: in training, after the step that was drawn, at a random moment before the end of the next.
Prints one line of JSON. Arguments: a folder, the number of kills, a seed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ltbench.data.progress import SILENT
from ltbench.engine import _mmengine  # noqa: F401  (imported here so that no attempt has to)
from ltbench.engine.request import RunRequest
from ltbench.engine.run import run_one
from ltbench.plugin import MethodSpec
from ltbench.plugin.manager import extra_specs
from ltbench.tasks.registry import load_task

TOY = MethodSpec(name="slow", target="engine.slow_toy:Slow", summary="a slow toy")


class Gate:
    """Lets a run take its next step when it was granted one, and tells each step that it has taken.

    Made before the fork; the child is the reporter's side, the parent grants and listens.
    """

    def __init__(self) -> None:
        self._granted, self._grant = os.pipe()
        self._told, self._tell = os.pipe()

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        yield self._step if label.startswith("training") else lambda n: None

    def _step(self, n: int) -> None:
        os.write(self._tell, b".")
        os.read(self._granted, 1)

    def line(self, text: str) -> None:
        pass

    def grant(self, steps: int) -> None:
        """Called by the parent after the fork."""
        os.close(self._tell)
        os.write(self._grant, b"." * steps)

    def wait_for(self, steps: int) -> None:
        """Until the child has taken so many steps.

        Raises:
            RuntimeError: it has ended before.
        """
        for _ in range(steps):
            if not os.read(self._told, 1):
                raise RuntimeError("the run ended before it was killed")

    def close(self) -> None:
        for end in (self._granted, self._grant, self._told):
            os.close(end)


def attempt(out: Path, gate: Gate | None) -> None:
    request = RunRequest(load_task("shapes-micro"), "slow", "tiny-clip", weights="random", out=out, device="cpu")
    run_one(request, SILENT if gate is None else gate)


def start(out: Path, gate: Gate | None = None) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            attempt(out, gate)
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


def kill_one(out: Path, number: int, whole: float, rng: random.Random) -> None:
    """Start, and kill: two of three times after a drawn step, else at any moment, also before the first step.

    No draw grants more than two epochs of three steps, or one at any moment, so six kills are over before the twelve
    epochs are.
    """
    gate = Gate()
    child = start(out, gate)
    if number % 3 == 2:
        gate.grant(3)
        time.sleep(rng.uniform(0.05, 0.9) * whole)
    else:
        steps = rng.randint(5, 8)
        gate.grant(steps)
        gate.wait_for(steps)
        time.sleep(rng.uniform(0.0, 0.1))  # until the next step, or while a checkpoint is written
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    gate.close()
    assert os.WIFSIGNALED(status), "the run ended before it was killed"


def main(folder: Path, kills: int, seed: int) -> None:
    torch.set_num_threads(1)
    rng = random.Random(seed)
    with extra_specs([TOY]):
        os.waitpid(start(folder / "warm-up"), 0)  # renders the images and fills the feature cache
        began = time.monotonic()
        assert os.waitpid(start(folder / "peace"), 0)[1] == 0
        whole = time.monotonic() - began
        found: list[int] = []
        for number in range(kills):
            kill_one(folder / "war", number, whole, rng)
            found.append(epochs_done(folder / "war"))
        code = os.waitpid(start(folder / "war"), 0)[1]
    print(json.dumps({"seconds": round(whole, 2), "killed_after_epochs": found, "code": code}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
