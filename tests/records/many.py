"""Thousands of records of the true format: those of the committed leaderboards, under further names and seeds.

Their sizes, fields and numbers of rows a section are those that a folder of runs has; their scores are moved a little,
so that no two rows are one result.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ltbench.records.facts import ScoreTable
from ltbench.records.read import all_records
from ltbench.records.record import RunContent, RunRecord, key_of, seal

LEADERBOARDS = Path(__file__).parents[2] / "leaderboards"
#: Names and seeds that each committed record is restated under.
NAMES, SEEDS = 3, 4
_SEED_STEP = 100


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


def _restated(record: RunRecord, name: int, seed: int) -> RunRecord:
    down = 0.7 * name + 0.05 * seed
    method = record.method.model_copy(update={"name": f"{record.method.name}-{name}"})
    content = RunContent.model_construct(
        **{
            **{field: getattr(record, field) for field in RunContent.model_fields},
            "method": method,
            "seed": record.seed + _SEED_STEP * seed,
            "scores": _lowered(record.scores, down),
        }
    )
    return seal(content.model_copy(update={"key": key_of(content)}))


def _lowered(scores: ScoreTable, points: float) -> ScoreTable:
    return {
        metric: {subset: None if value is None else max(0.0, value - points) for subset, value in subsets.items()}
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
