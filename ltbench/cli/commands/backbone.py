"""``ltbench backbone``: how the bundled backbone is made."""

from __future__ import annotations

from pathlib import Path

import click

from ltbench.cli.lazy import LazyGroup
from ltbench.cli.options import PATH, json_option
from ltbench.cli.output import say

_HERE = "ltbench.cli.commands.backbone"
BACKBONES = {"pretrain": (f"{_HERE}:pretrain", "Pre-train the bundled backbone again.")}


@click.group("backbone", cls=LazyGroup, lazy=BACKBONES)
def group() -> None:
    """Pre-train the bundled backbone."""


@click.command()
@click.argument("name", type=click.Choice(["tiny-clip"]))
@click.option("--out", type=PATH, default=Path("tiny-clip.safetensors"), show_default=True, help="File of the weights.")
@click.option("--seed", type=click.IntRange(0), metavar="N", default=0, show_default=True, help="Of data and training.")
@click.option(
    "--threads", type=click.IntRange(1), metavar="N", default=2, show_default=True, help="CPU threads; change the bits."
)
@json_option
def pretrain(name: str, out: Path, seed: int, threads: int, as_json: bool) -> None:
    """Pre-train the bundled backbone again.

    Draws images and captions that no part of the data set shapes holds, and trains both towers on them: about a
    quarter of an hour on two cores. Try the result: ltbench run --backbone tiny-clip --weights FILE …
    """
    from contextlib import ExitStack

    from ltbench.backbones.tiny_clip.pretrain import pretrain as train
    from ltbench.cli.output import print_json, seconds, size
    from ltbench.cli.reporting import reporter
    from ltbench.data.progress import Advance

    says = reporter()
    with ExitStack() as stack:
        bars: dict[str, tuple[Advance, list[int]]] = {}

        def progress(stage: str, done: int, total: int, loss: float) -> None:
            if stage not in bars:
                bars[stage] = (stack.enter_context(says.task(f"{name}: {stage}", total)), [0])
            advance, before = bars[stage]
            advance(done - before[0])
            before[0] = done

        report = train(out, seed, threads=threads, progress=progress)
    if as_json:
        print_json({**report, "path": str(out)})
    else:
        say(f"{out}: {size(out.stat().st_size)}, made in {seconds(report['seconds'])}")
        say(f"Try it: ltbench run --task shapes-lt --method zero-shot --backbone {name} --weights {out}")
