"""``ltbench show curves``: losses and rates of runs, epoch by epoch, in a browser."""

from __future__ import annotations

from pathlib import Path

import click

from ltbench.cli.options import PATH, out_option
from ltbench.cli.output import say


@click.command()
@out_option
@click.option("--to", default="tensorboard", show_default=True, metavar="NAME", help="What draws them.")
@click.option("--into", type=PATH, default=Path("ltbench-curves"), show_default=True, help="Folder of the curves.")
@click.option("--follow", is_flag=True, help="Go on as runs do, until interrupted.")
def curves(out: Path, to: str, into: Path, follow: bool) -> None:
    """Give the curves of runs to TensorBoard.

    They are read from the runs' logs, of finished runs and of those under way, on this machine or a cluster's.
    """
    from ltbench.report.run_curves import draw

    drawing = draw(out, into, to, 10.0 if follow else None)
    say(f"Curves of {drawing.runs} runs are in {into}: tensorboard --logdir {into}")
