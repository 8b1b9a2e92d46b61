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
from ltbench.cli.output import say
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ltbench.data.base import DataRoot
    from ltbench.engine.how import SweepOptions
    from ltbench.engine.sweep import CellResult
    from ltbench.engine.sweep_plan import SweepPlan
    from ltbench.report.papers.book import PaperTable
    from ltbench.report.papers.runs import PlannedRun
    from ltbench.report.papers.shelf import Shelf

OPTIONS = [
    click.argument("addresses", metavar="[PAPER:TABLE[/ROW]]...", nargs=-1),
    click.option("--tasks", type=NameList(), default=(), help="Only these tasks of the tables, without @setting."),
    click.option("--records", multiple=True, type=PATH, help="Show records at hand, and run nothing; repeatable."),
    click.option("--plots", type=PATH, default=None, metavar="DIR", help="Also draw curves, and tables over settings."),
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
    plots: Path | None,
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
    from ltbench.report.papers.runs import planned

    runs = planned(chosen)
    if records:
        _show(chosen, _shelf(records, strict=True), form, plots)
        return
    if not runs:
        _show(chosen, _shelf([]), form, plots)
        raise UserError(f"nothing of {' '.join(addresses)} can be run, for the reasons above", "ltbench reproduce")
    document = _document(runs, how)
    if plan_file is not None:
        _write_plan(plan_file, document)
    elif dry_run:
        _dry(chosen, runs, document, how, form)
    else:
        _run(ctx, chosen, document, how, form, plots)


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


def _write_plan(file: Path, document: dict[str, Any]) -> None:
    import yaml

    from ltbench.engine.cells import expand
    from ltbench.plugin.files import write_atomic

    count = len(expand(_plan(document)))
    write_atomic(file, yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120))
    say(f"wrote {file}: {count} runs → ltbench sweep --plan {file}")


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
    """Rows with their runs, or why there is none; then what the runs lack and take together."""
    from ltbench.cli.output import fold, print_json
    from ltbench.cli.planned import show
    from ltbench.cli.preflight import whole_json
    from ltbench.report.papers.runs import runs_of

    rows = {
        f"{table.address}/{line.name}": {address: _said(run) for address, run in runs_of(line).items()}
        for table in chosen
        for line in table.lines
    }
    whole = show(_plan(document), _options(how), _named(chosen))
    if form == "json":
        print_json({"rows": rows, "seeds": document["seeds"], **whole_json(whole)})
        return
    for row, found in rows.items():
        say(row)
        for address, run in found.items():
            say(fold(f"  {address}: {run}", "    "))
    say(f"{len(runs)} runs with each of {len(document['seeds'])} seeds.")


def _said(run: PlannedRun | str) -> str:
    if isinstance(run, str):
        return f"not run: {run}"
    return f"{run}; {run.lacks}, so the last counts" if run.lacks else str(run)


def _show(chosen: list[PaperTable], shelf: Shelf, form: str, plots: Path | None) -> None:
    from ltbench.cli.papers import draw_tables, show_tables

    show_tables(chosen, shelf, form)
    if plots is not None:
        draw_tables(chosen, shelf, plots)


def _options(how: dict[str, Any]) -> SweepOptions:
    from ltbench.engine.how import SweepOptions

    return SweepOptions(
        out=how["out"],
        overwrite=how["overwrite"],
        device=how["device"],
        data_root=how["data_root"],
        jobs=how["jobs"] or 0,
    )


def _named(chosen: list[PaperTable]) -> str:
    return ", ".join(dict.fromkeys(table.address for table in chosen))


def _run(
    ctx: click.Context,
    chosen: list[PaperTable],
    document: dict[str, Any],
    how: dict[str, Any],
    form: str,
    plots: Path | None,
) -> None:
    from ltbench.cli.output import note
    from ltbench.cli.planned import begin
    from ltbench.cli.reporting import reporter

    plan, options, says = _plan(document), _options(how), reporter()
    begin(plan, options, says, _named(chosen))
    from ltbench.engine.sweep import sweep

    results = sweep(plan, options, says)
    _show(chosen, _shelf([how["out"]]), form, plots)
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
            say(f"wrote {path}")
        return
    stale = stale_pages(boards)
    for path in stale:
        say(f"out of date: {path}")
    if stale:
        say(f"{len(stale)} {'page is' if len(stale) == 1 else 'pages are'} out of date → {COMMAND}")
        ctx.exit(1)
    say("The pages are what records and presets give.")
