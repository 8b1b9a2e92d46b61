"""What a table needs to be filled, what of it is here, and what that costs as far as records tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ltbench.backbones.at_hand import weights_at_hand
from ltbench.data.base import DataRoot
from ltbench.data.getting.mirror import nearby
from ltbench.data.getting.plan import Item
from ltbench.plugin.errors import UserError
from ltbench.report.papers.book import PaperTable
from ltbench.report.papers.runs import PlannedRun, planned, runs_of
from ltbench.report.papers.shelf import Shelf
from ltbench.tasks.needs import bring_missing, plan_of_run
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
        tasks={name: not missing_data(_some(runs, name), root) for name in names},
        backbones={name: _weights(name, root) for name in dict.fromkeys(run.backbone for run in runs)},
        seconds=sum(known) if known and len(known) == len(runs) else None,
        known=len(known),
    )


def _some(runs: Iterable[PlannedRun], name: str) -> str:
    """An address of the task: its settings share their images, and are told apart by small files only."""
    return next(run.address for run in runs if run.address.partition("@")[0] == name)


@lru_cache(maxsize=128)
def missing_data(address: str, root: DataRoot) -> tuple[str, ...]:
    """Names of the files and archives that a task setting lacks."""
    items = plan_of_run(load_task(address), root).items
    return tuple(item.name for item in items if item.state != "here" and not _in_mirror(item))


def _in_mirror(item: Item) -> bool:
    """Whether a run finds a single file in a mirror folder, where it needs no network."""
    return item.piece is None and item.source is not None and nearby(item.source.layout) is not None


@lru_cache(maxsize=64)
def _weights(name: str, root: DataRoot) -> bool:
    return weights_at_hand(name, root)


def lacking_data(runs: Sequence[PlannedRun], root: DataRoot) -> list[str]:
    """One line for each task whose data are not here."""
    said = []
    for address in dict.fromkeys(run.address for run in runs):
        missing = missing_data(address, root)
        if missing:
            said.append(f"{address}: {', '.join(missing)} → ltbench data prepare {address.partition('@')[0]}")
    return said


def lacking_weights(runs: Sequence[PlannedRun], root: DataRoot, weights: str | None) -> list[str]:
    """One line for each backbone whose released weights are not here.

    Args:
        weights: what the runs take in place of released weights; then none are needed.
    """
    names = dict.fromkeys(run.backbone for run in runs) if weights is None else {}
    return [
        f"{name}: released weights → run once with a network, or --weights FILE"
        for name in names
        if not _weights(name, root)
    ]


def bring_all(runs: Sequence[PlannedRun], root: DataRoot, weights: str | None, address: str) -> None:
    """Bring the data of all runs before the first begins; without a network only look whether all is here.

    Args:
        address: of the table, for the error.

    Raises:
        UserError: something is not here and cannot be brought; all of it is listed.
    """
    said = lacking_data(runs, root)
    if root.offline:
        said += lacking_weights(runs, root, weights)
    elif said:
        for line in said:
            root.reporter.line(f"missing: {line}")
        said = _brought(runs, root)
    if said:
        raise UserError(
            f"what {address} needs is not all here",
            f"bring what is listed, or ltbench reproduce {address} --plan FILE for another machine",
            said,
        )


def _brought(runs: Sequence[PlannedRun], root: DataRoot) -> list[str]:
    """What could not be brought, task by task."""
    failed = []
    for address in dict.fromkeys(run.address for run in runs):
        try:
            bring_missing(load_task(address), root)
        except UserError as error:
            failed += [f"{address}: {error}", *(f"  {line}" for line in error.details)]
    return failed
