"""``ltbench submit``: one run into a folder of leaderboards, or to the hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ltbench.cli.options import PATH, data_root_option, json_option

if TYPE_CHECKING:
    from ltbench.report.submit import Submission


@click.command()
@click.argument("name", metavar="RUN")
@click.option(
    "--out", type=PATH, default=Path("ltbench-runs"), show_default=True, help="Folder of runs, to look up a key."
)
@click.option("--boards", type=PATH, default=Path("leaderboards"), show_default=True, help="Folder of leaderboards.")
@click.option(
    "--to-hub", metavar="OWNER/NAME", help="Open a pull request in this data set repository of the hub instead."
)
@click.option("--dry-run", is_flag=True, help="Check and show the difference; write nothing.")
@data_root_option
@json_option
def submit(
    name: str, out: Path, boards: Path, to_hub: str | None, dry_run: bool, data_root: Path | None, as_json: bool
) -> None:
    """Put a run on a leaderboard, and show what it changes.

    RUN is a record, its folder, or the first digits of its key as ltbench list runs shows it. It is verified first. A
    run that did not complete, is not right, has no logits, or is there already is refused. What changes on the
    leaderboard is shown.
    """
    from ltbench.cli.commands.leaderboard import truth_opener
    from ltbench.cli.names import find_record
    from ltbench.cli.output import print_json
    from ltbench.engine.checking import Places, check
    from ltbench.records.hub import check_name, propose
    from ltbench.report.submit import prepare

    if to_hub is not None:
        check_name(to_hub)
    path = find_record(name, out, completed=True)
    open_truth = truth_opener(data_root)
    found = prepare(path, boards, lambda p: check(p, Places((p.parent,), data_root)), open_truth)
    written: list[str] = []
    address = ""
    if not dry_run and to_hub is not None:
        record = found.record
        title = f"{record.task.address} {record.method.name} seed {record.seed}"
        address = propose(to_hub, found.files, title)
    elif not dry_run:
        written = [str(place) for place in _put(found, boards, data_root)]
    if as_json:
        print_json({**found.document(), "dry_run": dry_run, "written": written, "pull_request": address or None})
        return
    _show(found)
    for place in written:
        click.echo(f"wrote {place}")
    if address:
        click.echo(f"Pull request: {address}")
    elif dry_run:
        click.echo(f"Nothing was written. To do it: ltbench submit {name}")
    else:
        click.echo("Then: ltbench leaderboard --check, and commit these files.")


def _put(found: Submission, boards: Path, data_root: Path | None) -> list[Path]:
    """Copy by the way that every import takes, and write the page."""
    from ltbench.cli.commands.leaderboard import truth_opener
    from ltbench.engine.checking import Places, check
    from ltbench.report.collect import import_records, keep_all
    from ltbench.report.papers.beside import beside
    from ltbench.report.write import write_board

    places = Places((found.path.parent,), data_root)
    done = import_records([found.path], boards, lambda path: check(path, places), keep_all)
    for problem in [*done.problems, *done.refused]:
        raise problem
    task = found.record.task
    return [*done.written, *write_board(boards, task.name, task.version, truth_opener(data_root), beside)]


def _show(found: Submission) -> None:
    from ltbench.cli.output import Column, fold, print_table

    record = found.record
    click.echo(f"{record.task.address}, {record.method.name}, seed {record.seed}: verified.")
    for reason in found.never_ranked:
        click.echo(fold(f"It is shown and never ranked: {reason}."))
    if not found.rows:
        click.echo("No ranked row changes.")
        return
    columns = [
        Column("method", whole=True),
        *(Column(name, right=True) for name in ("rank", "then", record.task.headline, "then", "seeds", "then")),
    ]
    print_table(
        columns,
        [
            [
                f"{row.method} *" if row.own else row.method,
                *("-" if rank is None else str(rank) for rank in row.rank),
                *("-" if mean is None else f"{mean:.2f}" for mean in row.mean),
                *(str(count) for count in row.seeds),
            ]
            for row in found.rows
        ],
        "Rows that change (* this run's)",
    )
