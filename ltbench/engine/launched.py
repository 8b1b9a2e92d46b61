"""Whether several processes were started for one run, as torchrun does; told from the environment. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from ltbench.plugin.errors import UserError

#: What torchrun tells each process that it starts, and what torch's ``env://`` reads.
_TOLD = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launched:
    """One of the processes of a run.

    Attributes:
        rank: its number among all, counted from 0.
        world: how many there are.
        local: its number among those of this machine.
    """

    rank: int = 0
    world: int = 1
    local: int = 0


def launched(environment: Mapping[str, str] | None = None) -> Launched:
    """What the environment says; one process alone where it says nothing or not all.

    Raises:
        UserError: numbers that are none, or a rank outside of the world.
    """
    told = os.environ if environment is None else environment
    if any(name not in told for name in _TOLD):
        return Launched()
    try:
        found = Launched(int(told["RANK"]), int(told["WORLD_SIZE"]), int(told["LOCAL_RANK"]))
    except ValueError:
        found = Launched(-1)
    if not (0 <= found.rank < found.world and found.local >= 0):
        said = ", ".join(f"{name}={told[name]}" for name in _TOLD[:3])
        raise UserError(
            f"the environment speaks of several processes, and not so that it could be: {said}",
            "torchrun --nproc-per-node 2 -m ltbench run …",
        )
    return found
