"""Figures that papers printed: shown beside measured ones, never ranked with them.

``published.csv`` restates printed figures, one a row: paper, table, task, setting, method, variant, backbone, metric,
subset, value as printed, the printed ± (``std``), note. COMIC's average over its three groups is ``average_mAP``;
columns that a table derives as gains, differences or decays are left out. A note says where a figure is only a lower
bound, or does not fit the others of its table.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

DATA = "published.csv"
#: Titles of the papers, in the order of their pages.
PAPERS = {
    "lmpt": "LMPT: Prompt Tuning with Class-Specific Embedding Loss for Long-Tailed Multi-Label Visual Recognition",
    "dr": "Distributionally Robust Loss for Long-Tailed Multi-Label Image Classification",
    "dualcoop": "DualCoOp: Fast Adaptation to Multi-Label Recognition with Limited Annotations",
    "hspnet": "Hierarchical Prompt Learning Using CLIP for Multi-label Classification with Single Positive Labels",
    "comic": (
        "Learning in Imperfect Environment: Multi-Label Classification with Long-Tailed Distribution and Partial Labels"
    ),
}
PARAMETERS = "params_M"
#: Setting, metric, subset.
Figure = tuple[str, str, str]
MARKS = {"suspected misprint": "†", "total does not fit its groups": "‡", "at least": "≥"}


@dataclass(frozen=True)
class Published:
    """One printed figure; ``value`` is the text as printed, in percent unless the metric is ``params_M`` (millions).

    ``std`` is the printed ± in the same unit, empty where none is printed.
    """

    paper: str
    table: str
    task: str
    setting: str
    method: str
    variant: str
    backbone: str
    metric: str
    subset: str
    value: str
    std: str
    note: str

    @property
    def number(self) -> float:
        """The value as a number."""
        return float(self.value)

    @property
    def shown(self) -> str:
        """The value with the mark of its note, and the printed ±."""
        mark = MARKS.get(self.note, "")
        spread = f" ± {self.std}" if self.std else ""
        return f"{mark} {self.value}{spread}" if mark == "≥" else f"{self.value}{mark}{spread}"

    @property
    def spread(self) -> float | None:
        """The printed ± as a number, None where none is printed."""
        return float(self.std) if self.std else None

    @property
    def figure(self) -> Figure:
        """What was measured: setting, metric, subset."""
        return self.setting, self.metric, self.subset


@lru_cache(maxsize=1)
def published() -> tuple[Published, ...]:
    """Every printed figure, in the order of the papers' tables."""
    text = resources.files("ltbench.report").joinpath(DATA).read_text(encoding="utf-8")
    return tuple(Published(**row) for row in csv.DictReader(text.splitlines()))


def published_frame(task: str | None = None) -> pd.DataFrame:
    """Printed figures as a pandas frame, ``value`` and ``std`` as numbers; of one task, without setting, if named."""
    import pandas as pd

    rows = [entry for entry in published() if task in (None, entry.task)]
    columns = [field.name for field in fields(Published)]
    made = pd.DataFrame([[getattr(row, name) for name in columns] for row in rows], columns=columns)
    made["std"] = pd.to_numeric(made["std"])
    return made.astype({"value": float, "std": float})


def papers_on(task: str) -> tuple[str, ...]:
    """Papers that printed figures on a task, named without its setting."""
    return tuple(dict.fromkeys(entry.paper for entry in published() if entry.task == task))
