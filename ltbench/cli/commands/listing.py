"""``ltbench list``: what there is."""

from __future__ import annotations

import click

from ltbench.cli.lazy import LazyGroup
from ltbench.cli.options import json_option
from ltbench.cli.output import Column, note, print_json, print_table

_HERE = "ltbench.cli.commands.listing"

LISTS = {
    "tasks": (f"{_HERE}:tasks", "Tasks: what is asked."),
    "methods": ("ltbench.cli.commands.list_methods:methods", "Methods: what can be run."),
    "backbones": (f"{_HERE}:backbones", "Backbones: pre-trained encoders."),
    "datasets": (f"{_HERE}:datasets", "Data sets: where images come from."),
    "runs": ("ltbench.cli.commands.list_runs:runs", "Runs: what was recorded."),
}


@click.group("list", cls=LazyGroup, lazy=LISTS)
def group() -> None:
    """List tasks, methods, backbones, datasets or runs."""


def note_plugins() -> None:
    """Say on stderr that something is missing from a list because a plugin is broken or two claim one name."""
    from ltbench.plugin.manager import registry

    found = registry()
    broken = [report.name for report in found.reports if report.status == "broken"]
    if broken:
        what = "plugin is" if len(broken) == 1 else "plugins are"
        note(f"note: {len(broken)} {what} broken ({', '.join(broken)}) → ltbench plugins")
    for line in found.conflicts():
        note(f"note: {line} → ltbench plugins")


@click.command()
@json_option
def tasks(as_json: bool) -> None:
    """Tasks: what is asked."""
    from ltbench.plugin.manager import registry

    rows = [
        {
            "name": item.spec.name,
            "family": item.spec.family,
            "version": item.spec.version,
            "settings": list(item.spec.settings),
            "data_set": item.spec.data_set,
            "ranked": item.spec.ranked,
            "summary": item.spec.summary,
            "distribution": item.distribution,
        }
        for item in registry().tasks
    ]
    rows += _own_tasks()
    if as_json:
        print_json(rows)
    else:
        print_table(
            [Column("task", whole=True), "family", "settings", "what it asks"],
            [[str(row["name"]), str(row["family"]), _settings(row["settings"]), str(row["summary"])] for row in rows],
        )
    note_plugins()


def _own_tasks() -> list[dict[str, object]]:
    """Tasks made by ``ltbench task new``; nothing is imported where there are none."""
    from ltbench.data.own.places import task_folders

    if not task_folders():
        return []
    from ltbench.tasks.own.custom import custom_tasks

    return [
        {
            "name": task.name,
            "family": task.family,
            "version": task.version,
            "settings": [],
            "data_set": task.data_set,
            "ranked": task.ranked,
            "summary": task.title,
            "distribution": None,
        }
        for task in custom_tasks()
    ]


def _settings(settings: object) -> str:
    names = list(settings) if isinstance(settings, list) else []
    return " ".join(names) if len(names) <= 4 else f"{names[0]} {names[1]} … {names[-1]}"


@click.command()
@json_option
def backbones(as_json: bool) -> None:
    """Backbones: pre-trained encoders."""
    from ltbench.plugin.manager import registry

    rows = [
        {
            "name": f"{item.spec.name}:…" if item.spec.prefix else item.spec.name,
            "offers": list(item.spec.offers),
            "image_size": item.spec.image_size,
            "pretraining": item.spec.pretraining,
            "summary": item.spec.summary,
            "distribution": item.distribution,
        }
        for item in registry().backbones
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(
            [Column("backbone", whole=True), "offers", "what it is"],
            [[str(row["name"]), " ".join(row["offers"]), str(row["summary"])] for row in rows],  # type: ignore[arg-type]
        )
    note_plugins()


@click.command()
@json_option
def datasets(as_json: bool) -> None:
    """Data sets: where images come from."""
    from ltbench.plugin.manager import registry

    rows = [
        {
            "name": item.spec.name,
            "licence": item.spec.licence,
            "size": item.spec.size,
            "summary": item.spec.summary,
            "distribution": item.distribution,
        }
        for item in registry().datasets
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(
            [Column("data set", whole=True), "licence", "size", "what it is"],
            [[row["name"], row["licence"], row["size"], row["summary"]] for row in rows],
        )
        note("what is on this machine: ltbench data status")
    note_plugins()
