"""``ltbench leaderboard``: ranks of recorded runs, on the screen or as committed pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ltbench.cli.options import PATH, data_root_option
from ltbench.cli.output import say
from ltbench.plugin.errors import DataMissing, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ltbench.records.read import LoadedRecord
    from ltbench.records.verify import OpenTruth
    from ltbench.report.board import Board

RUNS = Path("ltbench-runs")


@click.command()
@click.option("--task", "task", default=None, metavar="NAME", help="Only this task, without @setting.")
@click.option("--records", multiple=True, type=PATH, help="Folder with runs; repeatable. [default: ltbench-runs]")
@click.option(
    "--from-hub",
    "hubs",
    multiple=True,
    metavar="OWNER/NAME",
    help="Records of a data set repository of the hub, brought to the cache and read as by --records; repeatable.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "md", "latex", "html", "json", "csv"]),
    default="table",
    show_default=True,
    help="How to print. 'md' without --records writes the pages of --boards.",
)
@click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
@click.option(
    "--check",
    is_flag=True,
    help="Exit with 1 if a page or a comparison in --boards is not what records and logits give, or a row has no logits"
    " and is not marked.",
)
@click.option(
    "--matrix", is_flag=True, help="Write what to use, and recipes by tasks, to --boards; with --check, check them."
)
@click.option(
    "--import", "imports", multiple=True, type=PATH, help="Verify runs, copy those that are right to --boards, write."
)
@click.option("--mark-rerun", is_flag=True, help="List runs in --boards without logits as to be run again.")
@click.option(
    "--keep-logits",
    type=click.Choice(["none", "first", "all"]),
    default="first",
    show_default=True,
    help="Logits to copy with --import: of no seed, of seed 0, of all.",
)
@click.option("--site", type=PATH, metavar="DIR", help="Write a static web site of the records to DIR.")
@click.option("--boards", type=PATH, default=Path("leaderboards"), show_default=True, help="Folder of leaderboards.")
@data_root_option
@click.pass_context
def leaderboard(
    ctx: click.Context,
    task: str | None,
    records: tuple[Path, ...],
    hubs: tuple[str, ...],
    form: str,
    as_json: bool,
    check: bool,
    matrix: bool,
    imports: tuple[Path, ...],
    mark_rerun: bool,
    keep_logits: str,
    site: Path | None,
    boards: Path,
    data_root: Path | None,
) -> None:
    """Rank recorded runs of a task.

    A row's rank is 1 + the number of rows that are separably better, over test images and seeds. Rows rank among
    equals only: same backbone, pre-training data and extras. Failed runs, and runs with --limit or random weights, are
    shown and never ranked. A folder of leaderboards inside another, such as ablations, stands apart; --format md and
    --check see to it as well.
    """
    form = "json" if as_json else form
    records = (*records, *_fetched(hubs))
    name = None if task is None else _task_name(task)
    if matrix and not check:
        _write_matrix(boards)
    elif check:
        _check(ctx, boards, name, matrix, data_root)
    elif imports:
        _import(ctx, imports, boards, name, keep_logits, data_root)
    elif mark_rerun:
        _mark(boards, name)
    elif site is not None:
        _site(site, records, name, form == "json", data_root)
    elif form == "md" and not records:
        _write(boards, name, data_root)
    else:
        _print(_boards(records, name, data_root), form)


def _fetched(hubs: tuple[str, ...]) -> tuple[Path, ...]:
    if not hubs:
        return ()
    from ltbench.records.hub import fetch

    return tuple(fetch(hub) for hub in hubs)


def _task_name(address: str) -> str:
    """The name without setting; a custom task's folder gives its name."""
    if (Path(address) / "task.json").is_file():
        from ltbench.tasks.own.custom import load_custom

        return load_custom(Path(address)).name
    return address.partition("@")[0]


def truth_opener(data_root: Path | None) -> OpenTruth:
    from ltbench.cli.reporting import reporter
    from ltbench.data.base import DataRoot
    from ltbench.records.verify import open_registered

    says = reporter()
    return open_registered(DataRoot(reporter=says) if data_root is None else DataRoot(root=data_root, reporter=says))


@dataclass(frozen=True)
class _Found:
    """Records that may stand together, and the boards to make of them.

    Attributes:
        wanted: tasks and versions.
        problems: one line for each file that could not be read.
    """

    records: tuple[LoadedRecord, ...]
    wanted: list[tuple[str, int]]
    problems: list[str]


def _find(folders: tuple[Path, ...], name: str | None) -> _Found:
    """All records in the folders."""
    from ltbench.cli.output import note
    from ltbench.records.read import all_records
    from ltbench.report.at_hand import together

    found = all_records(folders or [RUNS]) if folders or RUNS.exists() else None
    for problem in found.problems if found else []:
        note(f"note: {problem}")
    standing = together(found.records if found else [])
    for folder in standing.apart:
        note(f"note: the boards in {folder} stand apart: ltbench leaderboard --records {folder}")
    known = sorted({(entry.record.task.name, entry.record.task.version) for entry in standing.records})
    wanted = [pair for pair in known if name in (None, pair[0])]
    if not wanted:
        where = ", ".join(str(folder) for folder in folders) or str(RUNS)
        tasks = ", ".join(sorted({pair[0] for pair in known}))
        have = f"; there are runs of {tasks}" if known else ""
        raise UserError(
            f"no runs {f'of {name} ' if name else ''}in {where}{have}",
            f"ltbench run --task {name or 'shapes-lt'} --method zero-shot",
        )
    return _Found(standing.records, wanted, [str(problem) for problem in (found.problems if found else [])])


def _boards(folders: tuple[Path, ...], name: str | None, data_root: Path | None) -> list[Board]:
    """One board for each task and version found in the folders."""
    return _compared(_find(folders, name), data_root)


def _compared(found: _Found, data_root: Path | None) -> list[Board]:
    from ltbench.cli.output import note
    from ltbench.report.at_hand import boards_at_hand

    return boards_at_hand(found.records, found.wanted, truth_opener(data_root), note)


def _site(target: Path, folders: tuple[Path, ...], name: str | None, as_json: bool, data_root: Path | None) -> None:
    from ltbench.cli.site import write
    from ltbench.report.site.place import check_place

    # Before the work, not after it.
    check_place(target)
    found = _find(folders, name)
    write(target, _compared(found, data_root), found.records, found.problems, as_json)


def _print(boards: list[Board], form: str) -> None:
    from ltbench.cli.board_table import print_board
    from ltbench.cli.output import json_text
    from ltbench.report.frames import entries
    from ltbench.report.write import render

    if form == "table":
        for number, board in enumerate(boards):
            if number:
                say()
            print_board(board)
    elif form == "json":
        document = [entry for board in boards for entry in entries(board)]
        say(json_text(document, indent=1, allow_nan=False))
    elif form == "csv":
        texts = [render(board, form) for board in boards]
        head = texts[0].splitlines(keepends=True)[:1]
        say("".join([*head, *(line for text in texts for line in text.splitlines(keepends=True)[1:])]), nl=False)
    elif len(boards) > 1 and form == "html":
        raise UserError("an HTML page holds one task", f"ltbench leaderboard --task {boards[0].task} --format html")
    else:
        say("\n".join(render(board, form) for board in boards), nl=False)


def _known_boards(boards: Path, name: str | None) -> list[tuple[Path, str, int]]:
    """Folder, task and version of the leaderboards in a folder and in those inside it, which stand apart."""
    from ltbench.report.write import folders_of_boards, list_boards

    found = [
        (folder, *pair)
        for folder in folders_of_boards(boards)
        for pair in list_boards(folder)
        if name in (None, pair[0])
    ]
    if not found:
        what = f"leaderboard of {name}" if name else "leaderboard"
        raise UserError(f"there is no {what} in {boards}", "ltbench leaderboard --import ltbench-runs")
    return found


def _check(ctx: click.Context, boards: Path, name: str | None, matrix: bool, data_root: Path | None) -> None:
    """The pages of one task or of all; the matrix with all of them, where there is one, or alone.

    Rows are compared anew on the logits in each folder: what ``comparisons.json`` says is not believed, but where the
    data set is not here, which is said.
    """
    from ltbench.report.evidence import check_evidence
    from ltbench.report.write import check_board

    known = [] if matrix else _known_boards(boards, name)
    overviews: list[Path] = []
    behind = [check_evidence(*board) for board in known]
    stale = list(_on_each(check_board, known, data_root, "are believed, and not computed again"))
    pages = len(known)
    if matrix or (name is None and (boards / "matrix.md").exists()):
        from ltbench.cli.matrix import stale_overviews

        overviews = stale_overviews(boards)
        stale += overviews
        pages += 2
    refused = [line for found in behind for line in found.problems]
    for line in refused:
        say(line)
    for path in stale:
        say(f"out of date: {path}")
    if stale:
        what = "file is" if len(stale) == 1 else "files are"
        command = "--matrix" if len(overviews) == len(stale) else "--format md"
        say(f"{len(stale)} {what} out of date → ltbench leaderboard {command}")
    if refused:
        what = "fact has" if len(refused) == 1 else "facts have"
        say(f"{len(refused)} {what} nothing behind them → ltbench verify {boards}")
    if stale or refused:
        ctx.exit(1)
    say(f"{pages} {'page is' if pages == 1 else 'pages are'} what the records give.")
    kept, marked = (sum(getattr(found, what) for found in behind) for what in ("kept", "marked"))
    if behind:
        say(f"Behind {kept} runs are their logits; {marked} are marked to be run again.")


def _mark(boards: Path, name: str | None) -> None:
    from ltbench.report.evidence import write_marks
    from ltbench.report.write import board_folder, board_records

    for inside, task, version in _known_boards(boards, name):
        folder = board_folder(inside, task, version)
        for path in write_marks(folder, board_records(folder, task, version)):
            say(f"wrote {path}")


def _write_matrix(boards: Path) -> None:
    from ltbench.cli.matrix import write_overviews

    for path in write_overviews(boards):
        say(f"wrote {path}")


def _write(boards: Path, name: str | None, data_root: Path | None) -> None:
    from ltbench.report.write import write_board

    for path in _on_each(write_board, _known_boards(boards, name), data_root, "stay as they are"):
        say(f"wrote {path}")


def _on_each(
    work: Callable[..., list[Path]], known: list[tuple[Path, str, int]], data_root: Path | None, instead: str
) -> Iterator[Path]:
    """Files that some work on each leaderboard names; without its data set it goes by the stored comparisons."""
    from ltbench.cli.output import note
    from ltbench.report.papers.beside import beside

    open_truth = truth_opener(data_root)
    for board in known:
        try:
            yield from work(*board, open_truth, beside)
        except DataMissing as error:
            note(f"note: {board[1]}: stored comparisons {instead}: {error}")
            yield from work(*board, None, beside)


def _import(
    ctx: click.Context, imports: tuple[Path, ...], boards: Path, name: str | None, keep: str, data_root: Path | None
) -> None:
    from ltbench.cli.output import note
    from ltbench.engine.checking import Places, check
    from ltbench.report.collect import import_records, keep_all, keep_first_seed, keep_none
    from ltbench.report.papers.beside import beside
    from ltbench.report.write import write_board

    keepers = {"none": keep_none, "first": keep_first_seed, "all": keep_all}
    places = Places(tuple(imports), data_root)
    collected = import_records(imports, boards, lambda path: check(path, places), keepers[keep], name)
    for problem in collected.problems:
        note(f"note: {problem}")
    for problem in collected.refused:
        say(str(problem))
    if collected.refused and not collected.boards:
        ctx.exit(1)
    if not collected.boards:
        where = ", ".join(str(folder) for folder in imports)
        raise UserError(f"no runs {f'of {name} ' if name else ''}in {where}", "ltbench list runs --out DIR")
    written, open_truth = list(collected.written), truth_opener(data_root)
    for pair in sorted(collected.boards):
        written += write_board(boards, *pair, open_truth, beside)
    for path in written:
        say(f"wrote {path}")
    say(f"{len(collected.written)} new files, {len(collected.present)} records were there already.")
    if collected.refused:
        ctx.exit(1)
