"""``ltbench reproduce``: a paper's table again, with what was measured beside what was printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from ltbench.cli.options import (
    PATH,
    NameList,
    SeedList,
    data_root_option,
    device_option,
    go_offline,
    json_option,
    limit_option,
    offline_option,
    out_option,
    overwrite_option,
    stack,
    threads_option,
    weights_option,
)
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ltbench.data.base import DataRoot
    from ltbench.engine.sweep import CellResult
    from ltbench.engine.sweep_plan import SweepPlan
    from ltbench.report.papers.book import PaperTable
    from ltbench.report.papers.runs import PlannedRun
    from ltbench.report.papers.shelf import Shelf

OPTIONS = [
    click.argument("addresses", metavar="[PAPER:TABLE[/ROW]]...", nargs=-1),
    click.option("--tasks", type=NameList(), default=(), help="Only these tasks of the tables, without @setting."),
    click.option("--records", multiple=True, type=PATH, help="Show records at hand, and run nothing; repeatable."),
    click.option("--plan", "plan_file", type=PATH, default=None, help="Write the runs for ltbench sweep --plan."),
    click.option("--dry-run", is_flag=True, help="List the runs and what they lack, and run nothing."),
    click.option(
        "--variant",
        type=click.Choice(["paper", "code"]),
        default=None,
        help="The printed formulas, or those of the authors' code, for all rows. [default: each row's own]",
    ),
    click.option("--seeds", type=SeedList(), default=(0, 1, 2), show_default="0,1,2", help="Seeds."),
    weights_option,
    click.option(
        "--jobs", type=click.IntRange(1), metavar="N", default=None, help="Runs at a time. [default: CPUs/threads]"
    ),
    device_option,
    threads_option,
    data_root_option,
    out_option,
    limit_option,
    overwrite_option,
    offline_option,
    click.option(
        "--format",
        "form",
        type=click.Choice(["table", "md", "json"]),
        default="table",
        show_default=True,
        help="How to print.",
    ),
    click.option("--pages", is_flag=True, help="Write the pages of all tables to --boards, from the records there."),
    click.option("--check", is_flag=True, help="Exit with 1 if a page in --boards is not what --pages would write."),
    click.option(
        "--boards", type=PATH, default=Path("leaderboards"), show_default=True, help="Folder of leaderboards."
    ),
    json_option,
]


@click.command()
@stack(OPTIONS)
@click.pass_context
def reproduce(
    ctx: click.Context,
    /,
    addresses: tuple[str, ...],
    tasks: tuple[str, ...],
    variant: Literal["paper", "code"] | None,
    records: tuple[Path, ...],
    plan_file: Path | None,
    dry_run: bool,
    form: str,
    as_json: bool,
    pages: bool,
    check: bool,
    boards: Path,
    offline: bool,
    **how: Any,
) -> None:
    """A paper's table again: published, measured, difference.

    Without a name: every table and curve of the papers, what it needs and what it costs. lmpt:table1 is a table,
    lmpt:table1/lmpt-rn50 one of its rows, lmpt:fig6 a curve, whose axis is an option. Runs that are recorded already
    are not run again.
    """
    go_offline(offline)
    form = "json" if as_json else form
    if pages or check:
        _pages(ctx, boards, check)
        return
    chosen = [table.in_variant(variant) if variant else table for table in _chosen(addresses, tasks)]
    if not addresses:
        from ltbench.cli.papers import list_tables

        list_tables(chosen, _root(how["data_root"]), _shelf(records or [how["out"]]), form)
        return
    from ltbench.cli.papers import show_tables
    from ltbench.report.papers.runs import planned

    runs = planned(chosen)
    if records:
        show_tables(chosen, _shelf(records, strict=True), form)
        return
    if not runs:
        show_tables(chosen, _shelf([]), form)
        raise UserError(f"nothing of {' '.join(addresses)} can be run, for the reasons above", "ltbench reproduce")
    document = _document(runs, how)
    if plan_file is not None:
        _write_plan(plan_file, document, len(runs) * len(how["seeds"]))
    elif dry_run:
        _dry(chosen, runs, document, how, form)
    else:
        _run(ctx, chosen, runs, document, how, form, " ".join(addresses))


def _chosen(addresses: Iterable[str], tasks: tuple[str, ...]) -> list[PaperTable]:
    """The tables or rows that are named, else all."""
    from ltbench.plugin.errors import UnknownName
    from ltbench.report.papers.book import book, find, our_task

    tables = [find(address) for address in addresses] or list(book().values())
    known = list(dict.fromkeys(our_task(task) for table in tables for task in table.tasks))
    for task in tasks:
        if task not in known:
            raise UnknownName("task of these tables", task, known, f"one of {', '.join(known)}")
    return [table for table in (table.only(tasks=tasks) for table in tables) if table.lines]


def _root(folder: Path | None) -> DataRoot:
    from ltbench.cli.reporting import reporter
    from ltbench.data.base import DataRoot

    says = reporter()
    return DataRoot(reporter=says) if folder is None else DataRoot(root=folder, reporter=says)


def _shelf(folders: Sequence[Path], strict: bool = False) -> Shelf:
    """Records at hand; a folder that somebody named has to be there."""
    from ltbench.cli.output import note
    from ltbench.records.read import all_records
    from ltbench.report.at_hand import together
    from ltbench.report.papers.shelf import Shelf

    missing = [folder for folder in folders if not folder.exists()]
    if strict and missing:
        raise UserError(f"{missing[0]} does not exist", "ltbench list runs")
    found = all_records(folder for folder in folders if folder.exists())
    for problem in found.problems:
        note(f"note: {problem}")
    return Shelf(entry.record for entry in together(found.records).records)


def _document(runs: list[PlannedRun], how: dict[str, Any]) -> dict[str, Any]:
    from ltbench.report.papers.runs import plan_document

    return plan_document(runs, how["seeds"], weights=how["weights"], threads=how["threads"], limit=how["limit"])


def _write_plan(file: Path, document: dict[str, Any], count: int) -> None:
    import yaml

    from ltbench.plugin.files import write_atomic

    write_atomic(file, yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120))
    click.echo(f"wrote {file}: {count} runs → ltbench sweep --plan {file}")


def _plan(document: dict[str, Any]) -> SweepPlan:
    from ltbench.cli.names import check_names
    from ltbench.engine.sweep_plan import SweepPlan

    plan = SweepPlan.of_document(document, "of the table")
    for item in plan.items:
        check_names(item.method, item.backbone or plan.backbone)
    return plan


def _dry(
    chosen: list[PaperTable], runs: list[PlannedRun], document: dict[str, Any], how: dict[str, Any], form: str
) -> None:
    """Rows with their runs, or why there is none; then what the runs lack."""
    from ltbench.cli.output import fold, note, print_json
    from ltbench.report.papers.needs import lacking_data, lacking_weights
    from ltbench.report.papers.runs import runs_of

    _plan(document)
    rows = {
        f"{table.address}/{line.name}": {address: _said(run) for address, run in runs_of(line).items()}
        for table in chosen
        for line in table.lines
    }
    root = _root(how["data_root"])
    lacking = [*lacking_data(runs, root), *lacking_weights(runs, root, how["weights"])]
    if form == "json":
        print_json({"rows": rows, "seeds": document["seeds"], "missing": lacking})
        return
    for row, found in rows.items():
        click.echo(row)
        for address, run in found.items():
            click.echo(fold(f"  {address}: {run}", "    "))
    click.echo(f"{len(runs)} runs with each of {len(document['seeds'])} seeds.")
    for line in lacking:
        note(f"missing: {line}")


def _said(run: PlannedRun | str) -> str:
    return f"not run: {run}" if isinstance(run, str) else str(run)


def _run(
    ctx: click.Context,
    chosen: list[PaperTable],
    runs: list[PlannedRun],
    document: dict[str, Any],
    how: dict[str, Any],
    form: str,
    named: str,
) -> None:
    from ltbench.cli.output import note
    from ltbench.cli.papers import show_tables
    from ltbench.engine.sweep import SweepOptions, sweep
    from ltbench.report.papers.needs import bring_all

    root = _root(how["data_root"])
    bring_all(runs, root, how["weights"], named)
    options = SweepOptions(
        out=how["out"],
        overwrite=how["overwrite"],
        device=how["device"],
        data_root=how["data_root"],
        jobs=how["jobs"] or 0,
    )
    results = sweep(_plan(document), options, root.reporter)
    show_tables(chosen, _shelf([how["out"]]), form)
    failed = [result for result in results if result.status != "completed"]
    for result in _each_reason_once(failed):
        note(f"{result.cell.label}: {result.status} ({result.reason})")
    if failed:
        note(f"{len(results) - len(failed)} of {len(results)} runs completed.")
        ctx.exit(1)


def _each_reason_once(failed: Iterable[CellResult]) -> Iterable[CellResult]:
    return {result.reason: result for result in failed}.values()


def _pages(ctx: click.Context, boards: Path, check: bool) -> None:
    from ltbench.report.papers.pages import COMMAND, stale_pages, write_pages

    if not check:
        for path in write_pages(boards):
            click.echo(f"wrote {path}")
        return
    stale = stale_pages(boards)
    for path in stale:
        click.echo(f"out of date: {path}")
    if stale:
        click.echo(f"{len(stale)} {'page is' if len(stale) == 1 else 'pages are'} out of date → {COMMAND}")
        ctx.exit(1)
    click.echo("The pages are what records and presets give.")
