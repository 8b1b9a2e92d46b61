"""Thousands of records of the true format: those of the committed leaderboards, under further names and seeds.

Their sizes, fields and numbers of rows a section are those that a folder of runs has; their scores are moved a little,
so that no two rows are one result.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from typing import Any

from ltbench.records.facts import ScoreTable
from ltbench.records.read import all_records
from ltbench.records.record import RunContent, RunRecord, key_of, seal

LEADERBOARDS = Path(__file__).parents[2] / "leaderboards"
#: Names and seeds that each committed record is restated under.
NAMES, SEEDS = 3, 4
_SEED_STEP = 100
#: Encoders of the board of one task.
ENCODERS = ("vit-b16", "vit-l14", "vit-h14", "rn50", "rn101")


def true_records(count: int) -> Iterator[RunRecord]:
    """So many records, each with a key and a hash that fit.

    Raises:
        ValueError: there are fewer.
    """
    folders = sorted(LEADERBOARDS.glob("*/v*/records"))
    committed = [entry.record for entry in all_records(folders).records if entry.record.status == "completed"]
    if count > len(committed) * NAMES * SEEDS:
        raise ValueError(f"{len(committed)} committed records give {len(committed) * NAMES * SEEDS}, not {count}")
    copies = ((name, seed) for name in range(NAMES) for seed in range(SEEDS))
    yield from islice((_restated(record, *copy) for copy in copies for record in committed), count)


def one_board() -> Iterator[RunRecord]:
    """12,285 records of one task, spread as a full board has them: every recipe that the committed board of
    shapes-partial has at its fullest setting, under three names, at each of nine settings with each of five encoders,
    with three seeds: 4,095 rows. Sections have 84 rows, or 9 where more than observed labels was given.
    """
    found = [entry.record for entry in all_records([LEADERBOARDS / "shapes-partial" / "v1" / "records"]).records]
    tasks = {record.task.address: record.task for record in found}
    fullest = [record for record in found if record.task.setting == "p50" and record.status == "completed"]
    spread = product(range(NAMES), enumerate(ENCODERS), enumerate(tasks.values()))
    for name, (place, encoder), (setting, task) in spread:
        for record in fullest:
            backbone = record.backbone.model_copy(update={"name": encoder, "weights": encoder})
            moved = 5.0 * place - 0.6 * setting - 0.07 * (len(record.method.name) * (setting + place) % 11)
            yield _restated(record, name, 0, moved, task=task, backbone=backbone)


def _restated(record: RunRecord, name: int, seed: int, moved: float = 0.0, **facts: Any) -> RunRecord:
    down = 0.7 * name + 0.05 * seed - moved
    method = record.method.model_copy(update={"name": f"{record.method.name}-{name}"})
    content = RunContent.model_construct(
        **{
            **{field: getattr(record, field) for field in RunContent.model_fields},
            "method": method,
            "seed": record.seed + _SEED_STEP * seed,
            "scores": _lowered(record.scores, down),
            **facts,
        }
    )
    return seal(content.model_copy(update={"key": key_of(content)}))


def _lowered(scores: ScoreTable, points: float) -> ScoreTable:
    return {
        metric: {
            subset: None if value is None else min(100.0, max(0.0, value - points)) for subset, value in subsets.items()
        }
        for metric, subsets in scores.items()
    }


def write_runs(records: Iterator[RunRecord], out: Path) -> list[Path]:
    """Write records as runs leave them, and return the files."""
    written = []
    for record in records:
        path = out / record.task.address / record.method.name / record.key[:16] / "attempt-1" / "record.json"
        path.parent.mkdir(parents=True)
        path.write_text(record.to_json(), encoding="utf-8")
        written.append(path)
    return written
