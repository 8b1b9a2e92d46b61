"""Times of runs on the leaderboards, shipped with the package: what a run takes where no run like it is at hand.

``times.json`` beside this module has them; ``python -m ltbench.engine.shipped`` writes it from a tree's leaderboards.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from statistics import median
from typing import Any

from ltbench.plugin.files import write_atomic
from ltbench.plugin.manager import registry
from ltbench.records.read import RECORDS_FOLDER, load_document

NAME = "times.json"
COMMAND = "python -m ltbench.engine.shipped"


@dataclass(frozen=True)
class Cost:
    """What one run took, or what several took that are told as one.

    Attributes:
        runs: how many.
        kind: ``cpu`` or ``cuda``.
        device: processor or accelerator, as records name it.
        encode, train, evaluate: seconds; None if unknown.
        memory: bytes at the peak; None if unknown.
    """

    runs: int
    kind: str
    device: str
    encode: float | None
    train: float | None
    evaluate: float | None
    memory: int | None


Key = tuple[str, int, str | None, str, str]
"""What tells runs apart: task, its version, its setting, method with its marks, backbone."""


@lru_cache(maxsize=1)
def _rows() -> dict[Key, list[Cost]]:
    document = json.loads(resources.files("ltbench.engine").joinpath(NAME).read_text(encoding="utf-8"))
    found: dict[Key, list[Cost]] = defaultdict(list)
    for task, version, setting, method, backbone, kind, device, runs, *took in document["rows"]:
        cost = Cost(runs, kind, document["devices"][device], *took)
        found[task, version, setting, method, backbone].append(cost)
    return found


def shipped(task: str, version: int, setting: str | None, method: str, backbone: str) -> list[Cost]:
    """What whole runs took, one cost for each device; empty where none is known.

    Args:
        task, version, setting, backbone: of the runs.
        method: its name with its marks, since a head on a frozen tower takes seconds and the tower itself minutes.
    """
    return list(_rows().get((task, version, setting, method, backbone), []))


def cost_of_record(record: Mapping[str, Any]) -> Cost:
    """The cost of a record that was read as JSON.

    Raises:
        KeyError: it has none.
    """
    cost = record["cost"]
    encode, train, evaluate = (cost[f"{phase}_seconds"] for phase in ("encode", "train", "evaluate"))
    return Cost(1, record["device"], cost["device"], encode, train, evaluate, cost["peak_memory_bytes"])


def as_one(costs: Sequence[Cost]) -> Cost:
    """Several runs told as one: the longest time of encoding, since others found features in the cache, medians of the
    other two, and the largest peak.
    """
    encode, train, evaluate, memory = (
        [value for one in costs if (value := getattr(one, name)) is not None]
        for name in ("encode", "train", "evaluate", "memory")
    )
    return Cost(
        runs=sum(one.runs for one in costs),
        kind=costs[0].kind,
        device=costs[0].device,
        encode=max(encode, default=None),
        train=median(train) if train else None,
        evaluate=median(evaluate) if evaluate else None,
        memory=int(max(memory)) if memory else None,
    )


def document_of(paths: Iterable[Path]) -> dict[str, Any]:
    """What the file holds, of records: one row for the whole runs that differ by seed and options only.

    Raises:
        UserError: a record cannot be read.
    """
    costs: dict[tuple[Any, ...], list[Cost]] = defaultdict(list)
    for path in paths:
        record = load_document(path)
        if record["status"] == "completed" and record["limit"] is None:
            task, cost = record["task"], cost_of_record(record)
            place = (task["name"], task["version"], task["setting"], _marked(record))
            costs[(*place, record["backbone"]["name"], cost.kind, cost.device)].append(cost)
    devices = sorted({key[-1] for key in costs})
    rows = []
    for key, found in costs.items():
        one = as_one(found)
        took = (one.runs, one.encode, one.train, one.evaluate, one.memory)
        rows.append([*key[:-1], devices.index(key[-1]), *took])
    return {"devices": devices, "rows": sorted(rows, key=lambda row: [str(each) for each in row[:7]])}


def _marked(record: Mapping[str, Any]) -> str:
    method, known = record["method"], registry().methods
    if method["name"] not in known:
        return str(method["name"])
    return known.get(method["name"]).spec.marked(record["backbone"]["name"], method["config"])


def write(boards: Path, target: Path) -> int:
    """Write the document of a folder of leaderboards; gives the number of rows.

    Raises:
        UserError: a record cannot be read, or the file not be written.
    """
    document = document_of(sorted(boards.glob(f"*/v*/{RECORDS_FOLDER}/*.json")))
    rows = ",\n  ".join(json.dumps(row) for row in document["rows"])
    text = f'{{\n "devices": {json.dumps(document["devices"])},\n "rows": [\n  {rows}\n ]\n}}\n'
    write_atomic(target, text)
    return len(document["rows"])


def main() -> None:
    """Write the times of the leaderboards of this tree."""
    here = Path(__file__).resolve()
    count = write(here.parents[2] / "leaderboards", here.with_name(NAME))
    sys.stdout.write(f"{here.with_name(NAME)}: {count} rows\n")


if __name__ == "__main__":
    main()
