"""``ltbench list methods``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ltbench.cli.commands.listing import note_plugins
from ltbench.cli.options import json_option
from ltbench.cli.output import Column, fold, print_json, print_table, say
from ltbench.engine.fit import NO_BACKBONE, lacks_on, needs_on
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from ltbench.method import Needs
    from ltbench.plugin.manager import Registered
    from ltbench.plugin.specs import MethodSpec
    from ltbench.tasks.task import Task


@click.command()
@click.option("--task", "address", default=None, help="Say which methods can run on this task.")
@click.option(
    "--backbone",
    default=None,
    metavar="NAME",
    help="With --task: with this encoder. [default: what each run would take]",
)
@json_option
def methods(address: str | None, backbone: str | None, as_json: bool) -> None:
    """Methods: what can be run."""
    from ltbench.plugin.manager import registry

    if backbone is not None:
        from ltbench.backbones.registry import find_backbone

        if address is None:
            raise UserError("--backbone says what an encoder serves on a task", "ltbench list methods --task NAME …")
        find_backbone(backbone)
    items = list(registry().methods)
    task = _first_task(address)
    rows = [_row(item, task, backbone) for item in items]
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
        served = f" with {backbone}" if backbone is not None else ""
        say(f"{sum(row['fits'] for row in rows)} of {len(rows)} methods run on {task.name}{served}.")
        if any(row["no_default"] for row in rows):
            say(fold(f"{task.name} has no default backbone; --backbone NAME says which methods its encoder serves."))
    note_plugins()


def _first_task(address: str | None) -> Task | None:
    """The task, or its first setting: what a method needs does not depend on the setting."""
    if address is None:
        return None
    from ltbench.tasks.registry import resolve

    return resolve(address)[0]


def _row(item: Registered[MethodSpec], task: Task | None, backbone: str | None) -> dict[str, Any]:
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
        needs, _ = needs_on(spec, task)
        lacks = lacks_on(spec, task, backbone)
        # Without a default backbone a method fits as soon as somebody names one.
        bare = lacks.pop(NO_BACKBONE, None) is not None
        why_not = "; ".join(lacks.values())
        row |= {"fits": not lacks, "why_not": why_not, "uses": _uses(needs, task), "no_default": bare}
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
