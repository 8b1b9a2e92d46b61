"""``ltbench data bundle``: make a mirror folder."""

from __future__ import annotations

from pathlib import Path

import click

from ltbench.cli.options import PATH, data_root_option, go_offline, offline_option


@click.command()
@click.argument("name", metavar="TASK|DATASET")
@click.option("--out", type=PATH, required=True, metavar="DIR", help="The mirror folder; may hold other bundles.")
@click.option("--no-archives", is_flag=True, help="Leave out the archives of data sets, which are large.")
@data_root_option
@offline_option
def bundle(name: str, out: Path, no_archives: bool, data_root: Path | None, offline: bool) -> None:
    """Make a mirror folder for machines without a network.

    There, LTBENCH_MIRROR=DIR answers in place of the network. The licences of the files are listed in the folder:
    look at them before you hand it on.
    """
    from ltbench.cli.commands import data
    from ltbench.cli.output import size
    from ltbench.cli.reporting import reporter
    from ltbench.data.getting.bundle import bundle as make
    from ltbench.tasks.needs import needs_of

    go_offline(offline)
    root = data.open_root(data_root, reporter())
    made = make(needs_of(name, checks=True), out, root, archives=not no_archives)
    total = sum(path.stat().st_size for path in made)
    click.echo(f"{len(made)} files, {size(total)}, in {out}. Use it: LTBENCH_MIRROR={out} ltbench data prepare {name}")
