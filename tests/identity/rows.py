"""Trains a small row of every registered method and states its key and the sha256 of its logits.

``python tests/identity/rows.py FILE`` writes them; run it on two revisions on one machine to see whether a change that
should move nothing moved something. Only names that stay are used (``ltbench.run``, ``ltbench.methods``), so that the
same file runs on older and newer trees.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TASK_OF_FAMILY = {
    "ltml": "shapes-lt",
    "plt": "shapes-plt@mr40",
    "spml": "shapes-spml",
    "partial": "shapes-partial@p50",
    "zero-shot": "shapes-zsl",
}
"""Where a method is tried: the task of the first of its families, so that the presets made for it are used."""

ROWS = 48
"""Training and test rows: enough for a batch and a rest, few enough for all methods in minutes."""

EPOCHS = 2
"""Epochs of methods that have such an option: the second one sees what the first one left. What begins later
in training (rounds of a curriculum, soft labels) begins after the first."""


def task_of(method: str) -> str:
    """The task on which a method is tried."""
    from ltbench.plugin.manager import registry

    families = registry().methods.get(method).spec.families
    return next(task for family, task in TASK_OF_FAMILY.items() if not families or family in families)


def row_of(method: str, out: Path) -> dict[str, str]:
    """Train one small row: task, run key and sha256 of the logits."""
    import ltbench
    from ltbench.plugin.manager import registry

    task = task_of(method)
    fields = registry().methods.get(method).spec.load().Config.model_fields
    short = {"epochs": EPOCHS, "first_round": EPOCHS - 1, "apl_warmup": EPOCHS - 1, "warmup": EPOCHS - 1}
    options = {name: value for name, value in short.items() if name in fields}
    (finished,) = ltbench.run(task, method, "tiny-clip", options=options, device="cpu", threads=1, limit=ROWS, out=out)
    record = finished.record
    if record.logits is None:
        raise RuntimeError(f"{method} on {task}: {record.status}: {record.reason}")
    return {"task": task, "key": record.key, "logits": record.logits.sha256}


def machine() -> dict[str, Any]:
    """What decides the last bit besides the code: processor, its instruction set as torch uses it, and versions."""
    import numpy
    import torch

    from ltbench.records.environment import cpu_model

    return {
        "cpu": cpu_model(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__.partition("+")[0],
        "numpy": numpy.__version__,
        "openblas": os.environ.get("OPENBLAS_CORETYPE", ""),
    }


def main(target: Path, names: list[str]) -> None:
    """Write the rows of the named methods, of all by default."""
    import ltbench

    rows: dict[str, dict[str, str]] = {}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for name in names or ltbench.methods():
            rows[name] = row_of(name, Path(folder))
            print(f"{time.perf_counter() - started:7.1f} s  {name}  {rows[name]['logits'][:12]}", flush=True)
    target.write_text(
        json.dumps({"machine": machine(), "rows": rows}, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
