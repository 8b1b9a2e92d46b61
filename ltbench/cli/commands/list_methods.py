"""``ltbench list methods``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ltbench.cli.commands.listing import note_plugins
from ltbench.cli.options import json_option
from ltbench.cli.output import Column, print_json, print_table

if TYPE_CHECKING:
    from ltbench.plugin.manager import Registered
    from ltbench.plugin.specs import MethodSpec
    from ltbench.tasks.task import Task


@click.command()
@click.option("--task", "address", default=None, help="Say which methods can run on this task.")
@json_option
def methods(address: str | None, as_json: bool) -> None:
    """Methods: what can be run."""
    from ltbench.plugin.manager import registry

    items = list(registry().methods)
    task = _first_task(address)
    rows = [_row(item, task) for item in items]
    if as_json:
        print_json(rows)
    elif task is None:
        print_table(
            [Column("method", whole=True), "made for", "variants", "what it does"],
            [[row["name"], " ".join(row["families"]), " ".join(row["variants"]), row["summary"]] for row in rows],
        )
    else:
        print_table(
            [Column("method", whole=True), f"on {task.name}", "why not"],
            [[row["name"], "yes" if row["fits"] else "no", row["why_not"]] for row in rows],
        )
    note_plugins()


def _first_task(address: str | None) -> Task | None:
    """The task, or its first setting: what a method needs does not depend on the setting."""
    if address is None:
        return None
    from ltbench.tasks.registry import resolve

    return resolve(address)[0]


def _row(item: Registered[MethodSpec], task: Task | None) -> dict[str, Any]:
    spec = item.spec
    row: dict[str, Any] = {
        "name": spec.name,
        "families": sorted(spec.families),
        "variants": list(spec.variants),
        "deterministic": spec.deterministic,
        "summary": spec.summary,
        "distribution": item.distribution,
        "version": item.version,
    }
    if task is not None:
        problems = _problems(spec, task)
        row |= {"fits": not problems, "why_not": "; ".join(problems)}
    return row


def _problems(spec: MethodSpec, task: Task) -> list[str]:
    """Why a method cannot run on a task. Imports the method, so a broken one says so here."""
    from ltbench.engine.needs import task_problems
    from ltbench.method.config import build_config
    from ltbench.plugin.errors import UserError

    try:
        method = spec.load()
        needs = method(build_config(method.Config, spec.name, spec.config)).needs()
    except UserError as error:
        return [error.message]
    return task_problems(needs, task, not needs.groups or _has_groups(task))


def _has_groups(task: Task) -> bool:
    from ltbench.data.base import DataRoot
    from ltbench.tasks.registry import open_data_set

    return bool(open_data_set(task, DataRoot()).label_groups)
