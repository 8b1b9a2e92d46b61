"""How the runs of a plan are made, where that decides no result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class SweepOptions:
    """How a sweep runs; none of it decides a result."""

    out: Path = Path("ltbench-runs")
    overwrite: Literal["never", "failed", "always"] = "never"
    device: str = "auto"
    data_root: Path | None = None
    jobs: int = 0
    audit_selection: bool = False
    workers: int | None = None
