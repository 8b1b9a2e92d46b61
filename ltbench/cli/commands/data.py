"""``ltbench data``: what is on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ltbench.cli.lazy import LazyGroup
from ltbench.cli.options import data_root_option, json_option

_HERE = "ltbench.cli.commands.data"
DATA = {"status": (f"{_HERE}:status", "What is here, what is missing, how large it is.")}


@click.group("data", cls=LazyGroup, lazy=DATA)
def group() -> None:
    """See which data are here."""


@click.command()
@data_root_option
@json_option
def status(data_root: Path | None, as_json: bool) -> None:
    """What is here, what is missing, how large it is."""
    from ltbench.cli.output import Column, note, print_json, print_table, size
    from ltbench.data.base import DataRoot
    from ltbench.data.status import DataStatus, folder_bytes
    from ltbench.plugin.errors import UserError
    from ltbench.plugin.manager import registry

    root = DataRoot() if data_root is None else DataRoot(root=data_root)
    found: list[DataStatus] = []
    for item in registry().datasets:
        spec = item.spec
        if spec.status is None:
            found.append(DataStatus(spec.name, "on demand", "its plugin does not say"))
            continue
        try:
            found += spec.load_target(spec.status)(root)
        except UserError as error:
            found.append(DataStatus(spec.name, "missing", error.message, next=error.hint))
    features = folder_bytes(root.cache / "features")
    if as_json:
        print_json({"data": [asdict(each) for each in found], "cache": str(root.cache), "features_bytes": features})
        return
    print_table(
        [Column("data", whole=True), "state", Column("size", right=True), "what is missing, and what to do"],
        [
            [each.name, each.state, size(each.bytes), " → ".join(part for part in (each.detail, each.next) if part)]
            for each in found
        ],
    )
    note(f"cache: {root.cache} ({size(features)} of features); another place: LTBENCH_CACHE=DIR")
