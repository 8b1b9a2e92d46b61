"""``ltbench data bundle``: make a mirror folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ltbench.cli.options import PATH, data_root_option, go_offline, offline_option
from ltbench.cli.output import say
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from ltbench.data.base import DataRoot
    from ltbench.data.getting.sources import Source


@click.command()
@click.argument("name", metavar="TASK|DATASET")
@click.option("--out", type=PATH, required=True, metavar="DIR", help="The mirror folder; may hold other bundles.")
@click.option("--no-archives", is_flag=True, help="Leave out the archives of data sets, which are large.")
@click.option(
    "--backbone",
    "backbones",
    multiple=True,
    metavar="NAME",
    help="Also its released weights, or 'none'; repeatable. [default: the task's own]",
)
@data_root_option
@offline_option
def bundle(
    name: str, out: Path, no_archives: bool, backbones: tuple[str, ...], data_root: Path | None, offline: bool
) -> None:
    """Make a mirror folder for machines without a network.

    There, LTBENCH_MIRROR=DIR answers in place of the network, for weights too. The licences of the files are listed in
    the folder: look at them before you hand it on.
    """
    from dataclasses import replace

    from ltbench.cli.commands import data
    from ltbench.cli.output import size
    from ltbench.cli.reporting import reporter
    from ltbench.data.getting.bundle import bundle as make
    from ltbench.tasks.needs import needs_of

    go_offline(offline)
    root = data.open_root(data_root, reporter())
    needs = needs_of(name, checks=True)
    weights, problems = _weights(backbones or _defaults(name), root)
    needs = replace(needs, sources=(*needs.sources, *weights))
    made = make(needs, out, root, archives=not no_archives) if needs.sources or not problems else []
    if problems:
        raise UserError(
            f"{len(made)} files are in {out}, and weights of {len(problems)} backbones are not",
            "ltbench data bundle again: what is there stays; or --backbone none",
            [str(problem) for problem in problems],
        )
    total = sum(path.stat().st_size for path in made)
    command = f"ltbench run --task {name} --offline --method …" if weights else f"ltbench data prepare {name}"
    say(f"{len(made)} files, {size(total)}, in {out}. Use it: LTBENCH_MIRROR={out} {command}")


def _defaults(name: str) -> list[str]:
    """Backbones that the settings of a task take by default; none for a data set."""
    from contextlib import suppress

    from ltbench.plugin.manager import registry
    from ltbench.tasks.defaults import default_backbone
    from ltbench.tasks.needs import tasks_of

    found: dict[str, None] = {}
    for task in [] if name in registry().datasets else tasks_of(name):
        # A task without a default needs a name.
        with suppress(UserError):
            found[default_backbone(task).name] = None
    return list(found)


def _weights(backbones: Sequence[str], root: DataRoot) -> tuple[list[Source], list[UserError]]:
    """Files of weights, brought into the cache, and why others could not be."""
    from ltbench.backbones.released import released_files

    brought: list[Source] = []
    problems: list[UserError] = []
    for backbone in backbones:
        for file in () if backbone == "none" else released_files(backbone):
            try:
                brought.append(file.to_cache(root))
            except UserError as problem:
                problems.append(problem)
    return brought, problems
