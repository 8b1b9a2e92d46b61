"""``ltbench list methods``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ltbench.cli.commands.listing import note_plugins
from ltbench.cli.fit import needs_on
from ltbench.cli.options import json_option
from ltbench.cli.output import Column, print_json, print_table, say

if TYPE_CHECKING:
    from ltbench.method import Needs
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
            [Column("method", whole=True), f"on {task.name}", "why not, or what it uses besides"],
            [[row["name"], "yes" if row["fits"] else "no", row["why_not"] or row["uses"]] for row in rows],
        )
        say(f"{sum(row['fits'] for row in rows)} of {len(rows)} methods run on {task.name}.")
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
        needs, lacks = needs_on(spec, task)
        row |= {"fits": not lacks, "why_not": "; ".join(lacks.values()), "uses": _uses(needs, task)}
    return row


def _uses(needs: Needs | None, task: Task) -> str:
    """What a method takes besides images and observed labels."""
    if needs is None:
        return ""
    source = {"given": "captions of the data set", "observed": "captions made from observed labels"}
    used = [*([source[task.captions]] if needs.captions and task.captions in source else []), *needs.extras]
    if needs.groups:
        used.append("label groups" if needs.groups is True else "label groups where the data set has some")
    if needs.validation:
        used.append("validation rows")
    return ", ".join(used)
