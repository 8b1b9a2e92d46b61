"""What a table needs to be filled, what of it is here, and what that costs as far as records tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from ltbench.backbones.at_hand import weights_at_hand
from ltbench.data.base import DataRoot
from ltbench.data.getting.mirror import nearby
from ltbench.data.getting.plan import Item
from ltbench.method.facts import facts_of
from ltbench.plugin.manager import registry
from ltbench.report.papers.book import PaperTable
from ltbench.report.papers.runs import PlannedRun, planned, runs_of
from ltbench.report.papers.shelf import Shelf
from ltbench.tasks.needs import plan_of_run
from ltbench.tasks.registry import load_task


@dataclass(frozen=True)
class TableNeeds:
    """What one table takes.

    Attributes:
        rows: those of which something can be run, and all.
        runs: for one seed.
        tasks: names without settings → whether their data are here.
        backbones: names → whether their released weights are here.
        seconds: of all runs with one seed; None where a run's cost is unknown.
        known: runs whose cost is known.
    """

    table: PaperTable
    rows: tuple[int, int]
    runs: tuple[PlannedRun, ...]
    tasks: dict[str, bool]
    backbones: dict[str, bool]
    seconds: float | None
    known: int


def needs_of_table(table: PaperTable, root: DataRoot, shelf: Shelf) -> TableNeeds:
    """Look at what a table needs; nothing is brought, opened or asked for."""
    runs = planned([table])
    runnable = sum(any(isinstance(run, PlannedRun) for run in runs_of(line).values()) for line in table.lines)
    known = [cost for cost in (shelf.seconds(run) for run in runs) if cost is not None]
    names = list(dict.fromkeys(run.address.partition("@")[0] for run in runs))
    return TableNeeds(
        table=table,
        rows=(runnable, len(table.lines)),
        runs=tuple(runs),
        tasks={name: not _missing(runs, name, root) for name in names},
        backbones={name: _weights(name, root) for name in dict.fromkeys(run.backbone for run in runs)},
        seconds=sum(known) if known and len(known) == len(runs) else None,
        known=len(known),
    )


def _missing(runs: Iterable[PlannedRun], name: str, root: DataRoot) -> tuple[str, ...]:
    """What the runs of a task lack together, looked for with one of its addresses.

    Its settings share their images, and are told apart by small files only.
    """
    mine = [run for run in runs if run.address.partition("@")[0] == name]
    captions, validation = (any(column) for column in zip(*map(_lists, mine), strict=True))
    return missing_data(mine[0].address, root, captions=captions, validation=validation)


def _lists(run: PlannedRun) -> tuple[bool, bool]:
    """Whether a run reads captions, and whether it looks at validation rows."""
    needs = facts_of(registry().methods.get(run.method).spec).needs
    return needs.reads_captions(run.settings), needs.validation or run.selection == "validation"


@lru_cache(maxsize=128)
def missing_data(address: str, root: DataRoot, *, captions: bool, validation: bool) -> tuple[str, ...]:
    """Names of the files and archives that a task setting lacks.

    Args:
        captions, validation: which lists are read besides, as :meth:`ltbench.tasks.task.Task.read_with` has it.
    """
    items = plan_of_run(load_task(address).read_with(captions=captions, validation=validation), root).items
    return tuple(item.name for item in items if item.state != "here" and not _in_mirror(item))


def _in_mirror(item: Item) -> bool:
    """Whether a run finds a single file in a mirror folder, where it needs no network."""
    return item.piece is None and item.source is not None and nearby(item.source.layout) is not None


@lru_cache(maxsize=64)
def _weights(name: str, root: DataRoot) -> bool:
    return weights_at_hand(name, root)
