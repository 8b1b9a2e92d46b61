"""``ltbench leaderboard --site``: from boards to a folder of pages, and what is said of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ltbench.cli.output import json_text, say, size

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ltbench.records.read import LoadedRecord
    from ltbench.report.board import Board
    from ltbench.report.matrix import Matrix


def write(
    target: Path, boards: Sequence[Board], records: Sequence[LoadedRecord], left_out: Sequence[str], as_json: bool
) -> None:
    """Write the site of some boards and say what was written.

    Args:
        records: those that the boards are made of, and others.
        left_out: one line for each file that could not be read.

    Raises:
        UserError: the folder holds something else, or cannot be written.
    """
    from importlib.metadata import version

    from ltbench.report.site.write import Content, write_site

    tasks = {(board.task, board.version) for board in boards}
    own = [entry for entry in records if (entry.record.task.name, entry.record.task.version) in tasks]
    matrices, missing = _matrices(own)
    done = write_site(target, Content(boards, own, matrices, missing, len(left_out)), version("ltbench"))
    if as_json:
        document = {
            "site": str(done.folder),
            "index": str(done.index),
            "tasks": [asdict(page) for page in done.pages],
            "cards": done.cards,
            "files": done.files,
            "bytes": done.size,
            "left_out": list(left_out),
        }
        say(json_text(document, indent=1))
        return
    for page in done.pages:
        rows = "1 row" if page.rows == 1 else f"{page.rows} rows"
        beside = [f"{page.unranked} not ranked"] if page.unranked else []
        beside += [f"{page.failed} failed"] if page.failed else []
        say(f"wrote {target / page.page}: {', '.join([rows, *beside])}, {page.records} records")
    say(f"{done.files} files, {size(done.size)}; open {done.index}")


def _matrices(records: Sequence[LoadedRecord]) -> tuple[list[Matrix], list[str]]:
    """Recipes by all task settings that have records, photographs, shapes and others apart; what is not installed here
    is in none of them, and named."""
    from ltbench.cli.matrix import lacks_of, presets_at_hand
    from ltbench.plugin.errors import UserError
    from ltbench.plugin.manager import registry
    from ltbench.report.matrix import OTHERS, PHOTOS, SHAPES, build_matrix
    from ltbench.report.rows import natural
    from ltbench.report.site.write import by_address
    from ltbench.tasks.registry import load_task

    found, tasks, missing = dict(by_address(records)), [], []
    for address in sorted(found, key=natural):
        try:
            task = load_task(address)
        except UserError:
            missing.append(address)
            continue
        # A column is one problem: records of another version have their own page, and no place in it.
        found[address] = [record for record in found[address] if record.task.version == task.version]
        tasks.append(task)
    recorded = {(entry.record.method.name, entry.record.method.distribution) for entry in records}
    methods = [item for item in registry().methods if (item.spec.name, item.distribution) in recorded]
    installed = {(item.spec.name, item.distribution) for item in methods}
    missing += sorted(name for name, _ in recorded - installed)
    matrices, presets = [], presets_at_hand()
    for images in (PHOTOS, SHAPES, OTHERS):
        known = (PHOTOS, SHAPES)
        own = [task for task in tasks if next((one for one in known if task.name in one.names), OTHERS) == images]
        ran = {(r.method.name, r.method.distribution) for task in own for r in found[task.address]}
        some = [item for item in methods if (item.spec.name, item.distribution) in ran]
        if own and some:
            matrices.append(build_matrix(some, own, found, lacks_of, presets, images))
    return matrices, missing
