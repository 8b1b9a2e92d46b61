"""``ltbench data verify``: check every file and open every image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ltbench.cli.options import data_root_option, go_offline, json_option
from ltbench.cli.output import say

if TYPE_CHECKING:
    from ltbench.data.base import DataRoot, DataSet
    from ltbench.data.getting.check import Opened
    from ltbench.data.getting.needs import Needs


@click.command()
@click.argument("name", metavar="TASK|DATASET")
@data_root_option
@json_option
@click.pass_context
def verify(ctx: click.Context, /, name: str, data_root: Path | None, as_json: bool) -> None:
    """Check every file and open every image.

    All faults are listed together; the exit code is 1 when there is one. Nothing is downloaded or mended.
    """
    from ltbench.cli.commands import data
    from ltbench.cli.output import print_json
    from ltbench.cli.reporting import reporter
    from ltbench.data.getting.check import check

    go_offline(True)
    root = replace(data.open_root(data_root, reporter()), mends=False)
    needs, data_sets = opened_of(name, root)
    seen = check(needs, data_sets, root)
    if as_json:
        print_json({"name": name, **asdict(seen)})
    else:
        for fault in seen.faults:
            say(fault)
        beside = f"; {seen.unhashed} files have no hash to compare with" if seen.unhashed else ""
        say(f"{seen.images} images opened, {seen.hashes} hashes compared, labels of {seen.rows} rows read{beside}.")
        if seen.faults:
            mend = (
                f"ltbench data prepare {name} --repair"
                if needs.sources or needs.pieces or seen.remade
                else "mend the files named above"
            )
            say(f"{_count(len(seen.faults))} → {mend}")
        else:
            say("No fault.")
    if seen.faults:
        ctx.exit(1)


def _count(number: int) -> str:
    return "1 fault" if number == 1 else f"{number} faults"


def opened_of(name: str, root: DataRoot) -> tuple[Needs, list[Opened]]:
    """Files that are needed, and data sets to open with their parts."""
    from ltbench.data.getting.check import Opened
    from ltbench.plugin.manager import registry
    from ltbench.tasks.needs import needs_of, needs_of_task, parts_of, tasks_of
    from ltbench.tasks.registry import open_data_set

    catalogue = registry().datasets
    if name in catalogue:
        opener: Callable[[DataRoot], DataSet] = catalogue.get(name).spec.load()
        return needs_of(name), [Opened(name, partial(opener, root))]
    tasks = tasks_of(name)
    found: list[Opened] = []
    for task in tasks:
        for data_set, parts in parts_of(task).items():
            if data_set == task.data_set and data_set not in catalogue:
                found.append(Opened(data_set, partial(open_data_set, task, root), parts))
            else:
                found.append(Opened(data_set, partial(catalogue.get(data_set).spec.load(), root), parts))
    return needs_of_task(tasks, name), _once(found)


def _once(found: list[Opened]) -> list[Opened]:
    """Settings of a task open the same parts: each is looked at once."""
    from ltbench.data.getting.check import Opened

    parts: dict[str, dict[str, None]] = {}
    for each in found:
        parts.setdefault(each.name, {}).update(dict.fromkeys(each.parts or ()))
    openers = {each.name: each.open for each in found}
    return [Opened(name, openers[name], tuple(wanted)) for name, wanted in parts.items()]
