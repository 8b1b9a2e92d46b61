"""Where the runs of a sweep are made, and which of them need not be made at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ltbench.engine.cells import Cell, CellResult, request_of, result_of
from ltbench.engine.executors.resources import ResourcesFile
from ltbench.engine.how import SweepOptions
from ltbench.engine.recorded import Recorded, device_of
from ltbench.engine.request import RunRequest
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.method.local import local_files
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import LOCAL_PREFIX

LOCAL: Final = "local"


@dataclass(frozen=True)
class Where:
    """Where the runs of a sweep are made; none of it decides a result.

    Attributes:
        executor: its name.
        scheduler: its address, where the executor has one elsewhere.
        resources: what jobs are granted.
    """

    executor: str = LOCAL
    scheduler: str | None = None
    resources: ResourcesFile = field(default_factory=ResourcesFile)

    @property
    def elsewhere(self) -> bool:
        """Whether runs are made by an executor that has to be found by its name."""
        return self.executor != LOCAL

    def device(self, cell: Cell, options: SweepOptions) -> str | None:
        """Type of the device that a run will take, as far as that can be told."""
        gpus = self.resources.of(cell.item.method).gpus if self.elsewhere else None
        return device_of(options.device, gpus)


def recorded_cells(
    cells: Sequence[Cell], plan: SweepPlan, options: SweepOptions, where: Where
) -> dict[Cell, CellResult]:
    """Results of those runs whose records say by themselves that nothing has to run; nothing is opened."""
    found: dict[Cell, CellResult] = {}
    recorded = Recorded(options.out)
    # Seeds come one after the other, and differ in nothing else.
    place: tuple[object, int] | None = None
    request: RunRequest | None = None
    for cell in cells:
        try:
            if place != (cell.pinned, id(cell.item)) or request is None:
                place, request = (cell.pinned, id(cell.item)), None
                request = request_of(cell, plan, options)
            known = recorded.of(replace(request, seed=cell.seed), where.device(cell, options))
        except UserError:
            # It is refused when its turn comes, and says why.
            continue
        if known is not None:
            found[cell] = result_of(cell, *known, 0.0, reused=True)
    return found


def files_of(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Files of methods of one's own, where a run has one."""
    return tuple(local_files()) if any(cell.item.method.startswith(LOCAL_PREFIX) for cell in cells) else ()
