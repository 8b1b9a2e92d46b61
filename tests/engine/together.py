"""Commands that several processes work on together, as torchrun starts them; forked, so that torch is imported once."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Said:
    """How a process ended, and what it printed."""

    code: int
    out: str
    err: str


def together(arguments: Sequence[str], folder: Path, world: int = 2, seconds: float = 240.0) -> list[Said]:
    """Run the command line with the same arguments in each process.

    Args:
        folder: where what they print is kept.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    folder.mkdir(parents=True, exist_ok=True)
    processes = []
    for rank in range(world):
        told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        process = context.Process(target=_one, args=(list(arguments), told, folder / str(rank)), daemon=True)
        process.start()
        processes.append(process)
    found = []
    try:
        for rank, process in enumerate(processes):
            process.join(seconds)
            assert process.exitcode is not None, f"rank {rank} still runs"
            out, err = ((folder / f"{rank}.{name}").read_text(encoding="utf-8") for name in ("out", "err"))
            found.append(Said(process.exitcode, out, err))
    finally:
        for process in processes:
            process.kill()
            process.join()
    return found


def _one(arguments: list[str], told: dict[str, object], prints: Path) -> None:
    sys.stdout, sys.stderr = (
        open(f"{prints}.{name}", "w", encoding="utf-8")  # noqa: SIM115  (open until the process ends)
        for name in ("out", "err")
    )
    os.environ.update({name: str(value) for name, value in told.items()})
    from ltbench.cli import main

    code = main(arguments)
    sys.stdout.close()
    sys.stderr.close()
    # What was forked along is not for this process to tidy up.
    os._exit(code)
