"""What a run is going to take, from what runs like it took. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ltbench.backbones.registry import own_size
from ltbench.plugin.errors import UserError
from ltbench.records.environment import cpu_model
from ltbench.records.read import RECORD_NAME, load_document
from ltbench.tasks.task import Task


@dataclass(frozen=True)
class Expected:
    """What runs of the same task, method and backbone took.

    Attributes:
        runs: how many there are.
        source: where they are recorded, and on which machine they ran.
        encode_seconds: of the run that had most to encode, since others found features in the cache; None if unknown.
        train_seconds, evaluate_seconds: medians; None if unknown.
        memory_bytes: the largest peak; None if unknown.
    """

    runs: int
    source: str
    encode_seconds: float | None
    train_seconds: float | None
    evaluate_seconds: float | None
    memory_bytes: int | None

    @property
    def seconds(self) -> float:
        """Of all three, as far as known."""
        return sum(each or 0.0 for each in (self.encode_seconds, self.train_seconds, self.evaluate_seconds))


def expected(
    task: Task, method: str, backbone: str, out: Path, device: str = "auto", image_size: int | None = None
) -> Expected | None:
    """What a run is going to take; None where no run like it is recorded.

    Runs of this machine in ``out`` come first, then records that ltbench's own tree ships, with their machine named.

    Args:
        out: folder of runs.
        device: ``cpu`` and ``cuda`` count runs on such a device only.
        image_size: side of the images in pixels, of which runs count only; None for what backbone and method take
            unasked.
    """
    like = (task.name, task.setting, method, backbone)
    alike = [one for one in _costs(_own(task, method, out), like, device, image_size) if one["machine"] == cpu_model()]
    if alike:
        return _of(alike, f"on this machine, in {out}")
    shipped: dict[str, list[dict[str, Any]]] = {}
    for one in _costs(_shipped(task, method), like, device, image_size):
        shipped.setdefault(one["device"], []).append(one)
    if not shipped:
        return None
    name, costs = max(shipped.items(), key=lambda item: len(item[1]))
    return _of(costs, f"on {name}, in leaderboards")


def _own(task: Task, method: str, out: Path) -> Iterator[Path]:
    yield from sorted((out / task.address / method).glob(f"*/*/{RECORD_NAME}"))


def _shipped(task: Task, method: str) -> Iterator[Path]:
    folder = Path(__file__).resolve().parents[2] / "leaderboards" / task.name / f"v{task.version}" / "records"
    yield from sorted(folder.glob(f"*{method}*.json"))


def _costs(
    paths: Iterable[Path], like: tuple[str | None, ...], device: str, image_size: int | None
) -> Iterator[dict[str, Any]]:
    """Costs of the completed, unlimited runs among records, each with its machine.

    Args:
        like: task, setting, method and backbone that they are of.
    """
    for path in paths:
        try:
            record = load_document(path)
            whole = record["status"] == "completed" and record["limit"] is None and "share" not in record
            of = (
                record["task"]["name"],
                record["task"]["setting"],
                record["method"]["name"],
                record["backbone"]["name"],
            )
            if whole and of == like and device in ("auto", record["device"]) and _sized(record, image_size):
                yield {**record["cost"], "machine": record["environment"]["machine"]}
        except (UserError, KeyError, TypeError):
            # What is wrong with a record is told by those who read it for its scores.
            continue


def _sized(record: dict[str, Any], image_size: int | None) -> bool:
    """Whether a record is of images of a size; of None, whether it is what backbone or method take unasked."""
    backbone, found = record["backbone"]["name"], record["backbone"].get("image_size")
    if image_size is not None:
        return bool(found == image_size)
    return found in (own_size(backbone), record["method"]["config"].get("image_size"))


def _of(costs: list[dict[str, Any]], source: str) -> Expected:
    def known(name: str) -> list[float]:
        return [one[name] for one in costs if one[name] is not None]

    return Expected(
        runs=len(costs),
        source=source,
        encode_seconds=max(known("encode_seconds"), default=None),
        train_seconds=median(known("train_seconds")) if known("train_seconds") else None,
        evaluate_seconds=median(known("evaluate_seconds")) if known("evaluate_seconds") else None,
        memory_bytes=int(max(known("peak_memory_bytes"))) if known("peak_memory_bytes") else None,
    )
