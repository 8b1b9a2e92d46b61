"""A leaderboard as flat entries and as a pandas frame: what ``json`` and ``csv`` give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ltbench.plugin import clean
from ltbench.report.board import Board
from ltbench.report.rows import Row, Score, shown_metrics, shown_subsets

if TYPE_CHECKING:
    import pandas as pd


def entries(board: Board) -> list[dict[str, Any]]:
    """One flat entry per row, metric and subset; rows that are not ranked come last."""
    listed = [(r.row, r.rank, r.shared) for section in board.sections for r in section.ranked]
    listed += [(row, None, False) for row in board.unranked]  # type: ignore[misc]
    return [
        {**shared, "metric": metric, "subset": subset, **_figures(row.score(metric, subset))}
        for row, number, tied in listed
        for shared in [_facts(board, row, number, tied)]
        for metric in shown_metrics([row])
        for subset in shown_subsets([row], metric)
    ]


def frame(board: Board) -> pd.DataFrame:
    """The entries as a pandas frame."""
    import pandas as pd

    made = pd.DataFrame(entries(board))
    # Rows that are not ranked have no rank; a plain column would turn the others into 1.0, 2.0 …
    return made.astype({"rank": "Int64"}) if len(made) else made


def csv_text(board: Board) -> str:
    """The frame as CSV."""
    return clean.csv_text(frame(board))


def _facts(board: Board, row: Row, number: int | None, tied: bool) -> dict[str, Any]:
    method = row.first.method
    return {
        "task": board.task,
        "version": board.version,
        "setting": row.equals.setting,
        "backbone": row.equals.backbone,
        "image_size": row.equals.image_size,
        "weights_sha256": row.equals.weights_sha256,
        "dtype": row.equals.dtype,
        "pretraining": row.equals.pretraining,
        "extras": "|".join(row.equals.extras),
        "rank": number,
        "shared": tied,
        "why_not_ranked": "; ".join(row.why_not),
        "method": method.name,
        "variant": method.variant,
        "preset": method.preset,
        "origin": method.origin,
        "config": row.config_id,
        "distribution": method.distribution,
        "distribution_version": method.version,
        "deterministic": method.deterministic,
        "n": len(row.records),
        "seeds": "|".join(str(seed) for seed in row.seeds),
        "trainable_parameters": row.mean_cost("trainable_parameters"),
        "train_seconds": row.mean_cost("train_seconds"),
        "oracle": row.oracle(),
    }


def _figures(score: Score) -> dict[str, float | None]:
    low, high = score.image or (None, None)
    return {"mean": score.mean, "half_width": score.half, "image_low": low, "image_high": high}
