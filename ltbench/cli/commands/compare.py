"""``ltbench compare``: two rows against each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ltbench.cli.options import PATH, data_root_option, json_option
from ltbench.cli.output import say
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ltbench.cli.output import Column
    from ltbench.report.head_to_head import Gap, HeadToHead

RUNS = Path("ltbench-runs")
CLASSES = 20
"""Classes shown at most; --json has all."""


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--task", default=None, metavar="NAME", help="Task that both ran on, with @setting where it has some.")
@click.option("--records", multiple=True, type=PATH, help="Folder with runs; repeatable. [default: ltbench-runs]")
@click.option(
    "--top", type=click.IntRange(min=0), default=10, show_default=True, help="Test rows to name, most different first."
)
@data_root_option
@json_option
def compare(
    first: str,
    second: str,
    task: str | None,
    records: tuple[Path, ...],
    top: int,
    data_root: Path | None,
    as_json: bool,
) -> None:
    """Compare two rows: A minus B overall, by group and by class, and on which test rows.

    A and B are methods with runs on --task (as a leaderboard calls them), records, folders with the records of one row,
    or first digits of a run's key. Intervals are of 95 % over test images and seeds, each of its figure alone; where
    both have the same seeds, differences are taken seed by seed.
    """
    from ltbench.cli.output import note, print_json
    from ltbench.cli.reporting import reporter
    from ltbench.data.base import DataRoot
    from ltbench.records.read import all_records
    from ltbench.records.verify import open_registered
    from ltbench.report.at_hand import together
    from ltbench.report.find_row import find_row
    from ltbench.report.head_to_head import head_to_head
    from ltbench.report.pairs import logits_beside

    missing = [folder for folder in records if not folder.exists()]
    if missing:
        raise UserError(f"{missing[0]} does not exist", "ltbench list runs")
    folders = [*records] or [RUNS]
    found = all_records(folder for folder in folders if folder.exists())
    for problem in found.problems:
        note(f"note: {problem}")
    where = ", ".join(str(folder) for folder in folders)
    standing = together(found.records).records
    a, b = (find_row(name, standing, task, where) for name in (first, second))
    if a.row == b.row:
        raise UserError(f"{first!r} and {second!r} are the same row", f"ltbench leaderboard --records {where}")
    says = reporter()
    root = DataRoot(reporter=says) if data_root is None else DataRoot(root=data_root, reporter=says)
    files = logits_beside([*a.entries, *b.entries])
    made = head_to_head((a.row, b.row), (a.label, b.label), files, open_registered(root), top)
    if as_json:
        print_json(made.document())
    else:
        _print(made)


def _print(made: HeadToHead) -> None:
    from ltbench.cli.output import Column, fold, print_table

    say(fold(f"{made.address}: {made.a} minus {made.b}, in percentage points"))
    for fact in made.unequal:
        say(fold(f"No leaderboard ranks these together. {fact}."))
    say()
    columns = [*_columns(made, made.metric)]
    print_table(columns, [_cells(gap) for gap in (made.overall, *made.groups) if gap.value is not None])
    say(fold(_says(made)))
    say()
    known = [gap for gap in made.classes if gap.value is not None]
    shown = sorted(known, key=lambda gap: -abs(gap.value or 0.0))[:CLASSES]
    title = "" if len(shown) == len(known) else f"{len(shown)} of {len(known)} classes, most different first"
    print_table(_columns(made, "average precision"), [_cells(gap) for gap in shown], title)
    if made.rows:
        say()
        print_table(
            [
                Column("test row", whole=True),
                Column(f"error of {made.a}", right=True),
                Column(f"of {made.b}", right=True),
                Column("A - B", right=True),
                "shows",
            ],
            [[r.id, f"{r.a:.1f}", f"{r.b:.1f}", f"{r.value:+.1f}", ", ".join(r.labels)] for r in made.rows],
        )
        say(
            fold(
                "Error: how much of the other rows stands on the wrong side of this one, in percent: mean over its "
                "present labels and mean over its absent ones, averaged; seeds averaged."
            )
        )


def _columns(made: HeadToHead, what: str) -> list[Column | str]:
    from ltbench.cli.output import Column

    right = (made.a, made.b, "A - B", "95 %")
    return [Column(what, whole=True), *(Column(name, right=True) for name in right)]


def _cells(gap: Gap) -> Sequence[str]:
    ends = "-" if gap.low is None or gap.high is None else f"[{gap.low:+.2f}, {gap.high:+.2f}]"
    return [gap.name, f"{gap.a:.2f}", f"{gap.b:.2f}", f"{gap.value:+.2f}", ends]


def _says(made: HeadToHead) -> str:
    """What the interval of the overall difference says, and what it rests on."""
    gap = made.overall
    if gap.value is None:
        return f"{made.metric} is undefined for one of the two."
    if gap.low is None:
        verdict = "One seed says nothing about others: not separated"
    elif gap.separated:
        verdict = f"{made.a if gap.value > 0 else made.b} is separably better, looking at this pair alone"
    else:
        verdict = "Not separated"
    seeds = "differences seed by seed" if made.paired else "each side's seeds"
    used = [", ".join(map(str, side)) for side in made.resampled]
    logits = f"seeds {used[0]}" if used[0] == used[1] else f"seeds {used[0]} and {used[1]}"
    return f"{verdict}. Over {seeds}, and over test images resampled on the logits of {logits}."
