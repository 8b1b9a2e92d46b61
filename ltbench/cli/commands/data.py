"""``ltbench data``: what is on this machine, and how the rest gets here."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ltbench.cli.lazy import LazyGroup
from ltbench.cli.options import data_root_option, json_option

if TYPE_CHECKING:
    from ltbench.data.base import DataRoot
    from ltbench.data.getting.plan import Item
    from ltbench.data.progress import Reporter

_HERE = "ltbench.cli.commands.data"
DATA = {
    "status": (f"{_HERE}:status", "What is here, what is missing, how large it is."),
    "prepare": (f"{_HERE}_prepare:prepare", "Bring what a task or data set needs."),
    "encode": (f"{_HERE}_encode:encode", "Encode a task's images before any run does."),
    "verify": (f"{_HERE}_verify:verify", "Check every file and open every image."),
    "bundle": (f"{_HERE}_bundle:bundle", "Make a mirror folder for machines without a network."),
}


@click.group("data", cls=LazyGroup, lazy=DATA)
def group() -> None:
    """Prepare, check and bundle data."""


def open_root(folder: Path | None, reporter: Reporter | None = None) -> DataRoot:
    """Where data are looked for and put; ``None`` for the folder takes LTBENCH_DATA."""
    from ltbench.data.base import DataRoot, default_root
    from ltbench.data.progress import SILENT

    return DataRoot(root=default_root() if folder is None else folder, reporter=reporter or SILENT)


@click.command()
@click.argument("name", metavar="[TASK|DATASET]", required=False)
@data_root_option
@json_option
def status(name: str | None, data_root: Path | None, as_json: bool) -> None:
    """What is here, what is missing, how large it is.

    With the name of a task or data set: every file and archive that it needs.
    """
    root = open_root(data_root)
    if name is None:
        _all(root, as_json)
    else:
        _one(name, root, as_json)


def _all(root: DataRoot, as_json: bool) -> None:
    from ltbench.cli.output import Column, note, print_json, print_table, size
    from ltbench.data.getting.here import state_of
    from ltbench.data.status import DataStatus, folder_bytes
    from ltbench.plugin.errors import UserError
    from ltbench.plugin.manager import registry

    found: list[DataStatus] = []
    for item in registry().datasets:
        try:
            found += state_of(item.spec.name, root)
        except UserError as error:
            found.append(DataStatus(item.spec.name, "missing", error.message, next=error.hint))
    features, sources = folder_bytes(root.cache / "features"), folder_bytes(root.cache / "sources")
    if as_json:
        document = {"data": [asdict(each) for each in found], "cache": str(root.cache), "features_bytes": features}
        print_json(document | {"sources_bytes": sources})
        return
    print_table(
        [Column("data", whole=True), "state", Column("size", right=True), "what is missing, and what to do"],
        [
            [each.name, each.state, size(each.bytes), " → ".join(part for part in (each.detail, each.next) if part)]
            for each in found
        ],
    )
    note(
        f"cache: {root.cache} ({size(features)} of features, {size(sources)} of downloads); "
        "another place: LTBENCH_CACHE=DIR"
    )


def _one(name: str, root: DataRoot, as_json: bool) -> None:
    from ltbench.cli.output import Column, note, print_json, print_table, size
    from ltbench.data.getting.plan import plan
    from ltbench.tasks.needs import needs_of

    wanted = plan(needs_of(name), root)
    found = wanted.items
    if as_json:
        print_json({"name": name, "items": [item_json(item) for item in found], "missing_bytes": wanted.bytes})
        return
    if not found:
        note(f"{name} needs no files from elsewhere.")
        return
    print_table(
        [Column("what", whole=True), "state", Column("download", right=True), "pinned", "licence; what to do"],
        [
            [
                item.name,
                item.state,
                size(item.bytes) if item.bytes else "",
                "yes" if item.pinned else "no",
                "; ".join(part for part in (item.licence, item.todo) if part),
            ]
            for item in found
        ],
    )
    absent = [item for item in found if item.state != "here"]
    if absent:
        note(f"{len(absent)} of {len(found)} missing, {size(wanted.bytes)} to download → {wanted.command}")
    else:
        note(f"Told from names of files and folders; every image is looked at by → ltbench data verify {name}")


def item_json(item: Item) -> dict[str, Any]:
    """One needed thing for programs."""
    told = ("name", "state", "bytes", "place", "origin", "licence", "todo", "pinned")
    return {name: getattr(item, name) for name in told} | {"place": str(item.place)}
