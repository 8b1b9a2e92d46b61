"""``ltbench verify``: phase 2 again, and with ``--rerun`` phase 1 too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ltbench.cli.options import PATH, data_root_option, json_option, method_files_option
from ltbench.cli.output import note, say
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from ltbench.engine.rerun import RerunReport
    from ltbench.records.verify import VerifyReport


@click.command()
@click.argument("records", nargs=-1, required=True, type=PATH, metavar="RECORD…")
@click.option(
    "--logits", "logits_dirs", multiple=True, type=PATH, help="Folder with logits named by their hash; repeatable."
)
@click.option("--rerun", is_flag=True, help="Train each run again from what its record states, and compare.")
@click.option(
    "--budget",
    type=click.FloatRange(0, min_open=True),
    metavar="S",
    default=None,
    help="With --rerun: only a fixed sample that took S seconds in all.",
)
@click.option("--out", type=PATH, default=None, help="With --rerun: keep the second runs there.")
@click.option(
    "--jobs", type=click.IntRange(0), metavar="N", default=0, help="Processes. [default: as many as are worth it]"
)
@click.option(
    "--skip-missing-data",
    is_flag=True,
    help="A record whose data set is not here is named and counted, and no reason for exit code 1.",
)
@method_files_option
@data_root_option
@json_option
@click.pass_context
def verify(
    ctx: click.Context,
    records: tuple[Path, ...],
    logits_dirs: tuple[Path, ...],
    rerun: bool,
    budget: float | None,
    out: Path | None,
    jobs: int,
    skip_missing_data: bool,
    data_root: Path | None,
    as_json: bool,
) -> None:
    """Score recorded runs again and compare.

    A RECORD is a record, or a folder with records at any depth. Schema, hashes, fingerprints, configuration, preset,
    origin and encoder are compared with what is installed, and every figure is computed again from the logits; whatever
    differs is named. A record whose logits are not at hand is unscored, or re-run where its leaderboard lists it in
    rerun.json: the rest of it is checked; where its data set is not here, there is no data. Exit code 1 when a record
    is wrong, unscored or without data.

    --rerun trains instead: the same bits where processor, versions and threads are those of the record, figures within
    a tolerance elsewhere.
    """
    if not rerun and (budget is not None or out is not None):
        raise UserError("--budget and --out go with --rerun", "ltbench verify --rerun RECORD…")
    paths = [path for given in records for path in _expand(given)]
    if rerun:
        if skip_missing_data:
            from ltbench.engine.rerun import with_data

            there = with_data(paths, data_root)
            if len(there) < len(paths):
                note(f"note: {len(paths) - len(there)} runs are left out: their data sets are not here")
            paths = there
        _rerun(ctx, paths, budget, out, data_root, as_json)
        return
    from ltbench.cli.output import print_json
    from ltbench.cli.reporting import reporter
    from ltbench.engine.checking import Places, check_all

    reports = check_all(paths, Places(logits_dirs, data_root), jobs, reporter())
    if as_json:
        stated = ("verdict", "ok", "checked", "problems", "unchecked", "absent")
        print_json([{"path": str(r.path), **{name: getattr(r, name) for name in stated}} for r in reports])
    else:
        _print(reports)
    wrong = {"WRONG", "unscored"} if skip_missing_data else {"WRONG", "unscored", "no data"}
    if any(report.verdict in wrong for report in reports):
        ctx.exit(1)


def _print(reports: list[VerifyReport]) -> None:
    from ltbench.cli.output import fold

    for report in reports:
        say(f"{report.verdict:8}  {report.path}")
        absent = [report.absent] if report.absent else []
        for line in [*report.problems, *report.unchecked, *absent]:
            say(f"          {line}")
    what = "record" if len(reports) == 1 else "records"
    right = sum(report.ok for report in reports)
    text = f"{right} of {len(reports)} {what} verified."
    marked = sum(report.verdict == "re-run" for report in reports)
    if marked:
        text += f" {marked} have no logits here and are listed to be run again: ltbench verify --rerun."
    without = [report.without_data for report in reports if report.without_data]
    if without:
        tasks = sorted(set(without))
        text += f" {len(without)} have no labels here to be scored by ({', '.join(tasks)}):"
        text += f" ltbench data prepare {tasks[0].partition('@')[0]}."
    looked = max((report.checked for report in reports), key=len)
    say(fold(f"{text} Looked at: {', '.join(looked)}."))


def _rerun(
    ctx: click.Context, paths: list[Path], budget: float | None, out: Path | None, data_root: Path | None, as_json: bool
) -> None:
    from dataclasses import asdict
    from tempfile import TemporaryDirectory

    from ltbench.cli.output import fold, print_json
    from ltbench.cli.reporting import reporter
    from ltbench.engine.rerun import rerun, sample

    chosen = paths if budget is None else sample(paths, budget)
    if not chosen:
        raise UserError(f"no run fits into {budget:g} seconds", "ltbench verify --rerun RECORD…")
    says = reporter()
    reports: list[RerunReport] = []
    with TemporaryDirectory(prefix="ltbench-rerun-") as temporary:
        for number, path in enumerate(chosen, 1):
            says.line(f"[{number}/{len(chosen)}] {path.name}")
            reports.append(rerun(path, out or Path(temporary), data_root, says))
            if not as_json:
                _print_rerun(reports[-1])
    if as_json:
        print_json([{**asdict(report), "path": str(report.path), "ok": report.ok} for report in reports])
    else:
        same = sum(report.verdict == "same" for report in reports)
        good = sum(report.ok for report in reports)
        what = "run" if len(reports) == 1 else "runs"
        say(fold(f"{good} of {len(reports)} {what} came out again, {same} of them with the same bits."))
    if not all(report.ok for report in reports):
        ctx.exit(1)


def _print_rerun(report: RerunReport) -> None:
    figures = ""
    if report.stored is not None and report.again is not None:
        figures = f"  {report.stored:.3f}, again {report.again:.3f}"
        figures += "" if report.tolerance is None else f" (± {report.tolerance} allowed)"
    say(f"{report.verdict:8}  {report.path}{figures}")
    for line in [*report.problems, *report.unchecked, *([report.reason] if report.reason else [])]:
        say(f"          {line}")


def _expand(given: Path) -> list[Path]:
    """Records below a folder, or the file itself."""
    if not given.is_dir():
        return [given]
    from ltbench.records.read import RECORD_NAME, RECORDS_FOLDER

    found = [
        path for path in sorted(given.rglob("*.json")) if path.name == RECORD_NAME or path.parent.name == RECORDS_FOLDER
    ]
    if not found:
        raise UserError(f"there is no record in {given}", "ltbench list runs")
    return found
