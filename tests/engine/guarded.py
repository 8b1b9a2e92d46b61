"""A program of its own: runs a method on shapes-plt@mr40 that looks for hidden labels wherever Python can reach.

The images are rendered in the same process first, and the truth is opened for its fingerprints, as in any first run.
Prints one line of JSON. Argument: a folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import nn

from engine import toys
from ltbench.data.base import DataRoot
from ltbench.engine.request import RunRequest
from ltbench.engine.run import run_one
from ltbench.method import Context, FitData, FitStage, GradientStage, Method, ParamGroup, Scan, Stage
from ltbench.plugin import MethodSpec
from ltbench.plugin.manager import extra_specs
from ltbench.tasks.registry import load_task, open_data_set
from ltbench.testing.guard import Leak, find_labels

ADDRESS = "shapes-plt@mr40"
leaks: list[Leak] = []
walks: list[str] = []
planted: list[Leak] = []


def look() -> list[Leak]:
    """Read what is forbidden, look for it, and let it go."""
    task = load_task(ADDRESS)
    data = open_data_set(task, DataRoot())
    forbidden = {name: data.part(name).read_labels() for name in (task.train_part, task.test_part)}
    walks.append("walk")
    return find_labels(forbidden)


class _Looking(toys.Head):
    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        if epoch == 0:
            leaks.extend(look())


class Looking(Method):
    """Looks before its first epoch and in a second stage; then plants labels, to show that it would have seen them."""

    def needs(self) -> toys.Needs:
        return toys.Needs()

    def stages(self, context: Context) -> Sequence[Stage]:
        module: nn.Module = _Looking(context.backbone.card.dim, len(context.class_names))
        groups = [ParamGroup(list(module.parameters()), 0.1)]

        def fit(data: FitData) -> None:
            leaks.extend(look())
            task = load_task(ADDRESS)
            self.stolen = np.array(open_data_set(task, DataRoot()).part(task.test_part).read_labels())
            planted.extend(look())
            del self.stolen

        return [GradientStage("train", module, groups, epochs=2), FitStage("look", module, fit)]


def main(folder: Path) -> None:
    spec = MethodSpec(name="looking", target="engine.guarded:Looking", summary="looks for labels")
    # Under its import name, so that what the method appends to is what is printed here.
    from engine import guarded

    with extra_specs([spec]):
        request = RunRequest(
            load_task(ADDRESS), "looking", "tiny-clip", weights="random", device="cpu", out=folder, limit=64
        )
        status = run_one(request).record.status
    found = {"leaks": [leak.kind for leak in guarded.leaks], "planted": [leak.kind for leak in guarded.planted]}
    print(json.dumps({**found, "status": status, "walks": len(guarded.walks)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
