"""``ltbench data prepare``: bring what a task or data set needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ltbench.cli.options import data_root_option, go_offline, json_option, offline_option
from ltbench.cli.output import say

if TYPE_CHECKING:
    from ltbench.data.base import DataRoot


@click.command()
@click.argument("name", metavar="TASK|DATASET")
@data_root_option
@click.option("--keep-archives", is_flag=True, help="Keep archives in the cache after they are unpacked.")
@click.option(
    "--repair",
    is_flag=True,
    help="Unpack or render again what differs from what it has to be.",
)
@offline_option
@json_option
def prepare(name: str, data_root: Path | None, keep_archives: bool, repair: bool, offline: bool, as_json: bool) -> None:
    """Bring what a task or data set needs.

    Says how much that is, downloads it (going on where an earlier attempt stopped), checks it and puts it below
    --data-root, or into the cache. What is here is left alone. LTBENCH_MIRROR (a folder or web address) answers first.
    """
    from ltbench.cli.commands import data
    from ltbench.cli.output import print_json, size
    from ltbench.cli.reporting import reporter
    from ltbench.data.getting.bring import bring
    from ltbench.data.getting.plan import plan
    from ltbench.tasks.needs import needs_of

    go_offline(offline)
    root = data.open_root(data_root, reporter())
    needs = needs_of(name)
    brought = bring(plan(needs, root, repair), root, keep_archives)
    if repair and not needs.sources and not needs.pieces:
        _open_all(name, root)
    if as_json:
        found = [data.item_json(item) for item in plan(needs, root).items]
        print_json({"name": name, "items": found, "brought": [item.name for item in brought]})
    elif not needs.sources and not needs.pieces:
        say(f"{name} needs no files from elsewhere.")
    elif not brought:
        # Told by names of folders: half of an archive of the user's own looks the same.
        say(f"All that {name} needs is here. Look at every file: ltbench data verify {name}")
    else:
        say(f"All that {name} needs is here now; brought {len(brought)}: {size(sum(each.bytes for each in brought))}.")


def _open_all(name: str, root: DataRoot) -> None:
    """Open all parts of a data set, or those of a task: data that ltbench makes itself are made anew where harmed."""
    from ltbench.cli.commands.data_verify import opened_of

    for each in opened_of(name, root)[1]:
        opened = each.open()
        for part in each.parts or opened.parts:
            opened.part(part)
