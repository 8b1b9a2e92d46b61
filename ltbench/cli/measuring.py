"""``--measure``: runs are timed on a few rows before they begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ltbench.engine.measure import Measured
    from ltbench.engine.preflight import Preflight


def measured(found: Sequence[Preflight]) -> list[Preflight]:
    """Time one run for each task and backbone, and give what was found to those that differ by seed or setting only.

    A run that cannot be timed keeps what is expected of it, and a line says why.
    """
    from ltbench.cli.output import note
    from ltbench.engine.measure import measure

    times: dict[tuple[str, str], Measured | None] = {}
    for one in found:
        place = (one.request.task.name, one.request.backbone)
        if place not in times:
            try:
                times[place] = measure(one.request)
            except Exception as error:
                # The run itself may do better on its own data; how long it takes is only told beforehand.
                said = " ".join(str(error).split())
                note(f"note: {one.request.method} on {place[0]} cannot be measured ({type(error).__name__}: {said})")
                times[place] = None
    return [replace(one, measured=times[one.request.task.name, one.request.backbone]) for one in found]
