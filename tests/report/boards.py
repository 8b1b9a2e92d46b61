"""Records of rows, and what tests read off a board."""

from __future__ import annotations

from typing import Any

from records import builders as b

from ltbench.records.compare import DRAWS
from ltbench.records.record import RunRecord
from ltbench.report.board import Board
from ltbench.report.pairs import Comparisons, ImageSpread, record_hashes
from ltbench.report.rows import make_rows


def runs(method: str, *values: float, first: int = 0, **changes: Any) -> list[RunRecord]:
    """One record per value, seeds counting up."""
    facts = b.method_facts(name=method, **changes.pop("facts", {}))
    return [
        b.record(
            method=facts,
            seed=first + seed,
            mAP=value,
            logits=b.LogitsFacts(sha256=f"{hash_of(method)}{seed:x}".ljust(64, "0"), rows=60, classes=5),
            **changes,
        )
        for seed, value in enumerate(values)
    ]


def hash_of(name: str) -> str:
    return name.encode().hex()[:12]


def order(board: Board) -> list[tuple[str, int, bool]]:
    return [(r.row.name, r.rank, r.shared) for section in board.sections for r in section.ranked]


def notes(board: Board) -> str:
    return " ".join([*board.sections[0].notes, *board.sections[0].remarks])


def spread(records: list[RunRecord], *lines: tuple[float, ...], metric: str = "mAP") -> Comparisons:
    """Image spreads of the rows of some records, in the order of the board."""
    rows = make_rows(records)
    hashes = tuple(record_hashes(row) for row in rows)
    return Comparisons((ImageSpread(metric, DRAWS, 0, hashes, tuple(row.logits for row in rows), ((), *lines)),))
