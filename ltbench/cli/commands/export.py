"""``ltbench export``: a run as one file for use elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from ltbench.cli.options import (
    PATH,
    data_root_option,
    go_offline,
    json_option,
    method_files_option,
    offline_option,
    out_option,
    stack,
)
from ltbench.cli.output import say
from ltbench.plugin.errors import UserError

OPTIONS = [
    click.option(
        "--to", "path", type=PATH, default=Path("model.pt2"), show_default=True, metavar="FILE", help="The file, .pt2."
    ),
    click.option(
        "--features", type=PATH, default=None, metavar="FILE.npz", help="Of a run on features: some of its features."
    ),
    method_files_option,
    out_option,
    click.option(
        "--weights", default=None, metavar="FILE", help="The backbone's weights, where the run's came from a file."
    ),
    data_root_option,
    offline_option,
    json_option,
]


@click.command()
@click.argument("name", metavar="RUN")
@stack(OPTIONS)
def export(
    name: str,
    path: Path,
    features: Path | None,
    out: Path,
    weights: str | None,
    data_root: Path | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Write a trained method as one file that torch runs alone.

    The file holds encoder, method, class names and a description of the preprocessing. Before it is written its logits
    are compared with those that the run left of its test images, or, where these are not here, with those of the method
    on made-up pictures, which is said.
    """
    from ltbench.cli.names import find_record
    from ltbench.cli.output import fold, print_json
    from ltbench.cli.reporting import reporter

    go_offline(offline)
    if path.suffix != ".pt2":
        raise UserError(f"--to {path}: programs of torch.export end in .pt2", "--to model.pt2")
    record = find_record(name, out, completed=True)
    from ltbench.engine.export import export as write

    made = write(record, path, data_root=data_root, weights=weights, features=features, reporter=reporter())
    if as_json:
        print_json({"path": str(made.path), **made.facts})
        return
    shape = " x ".join(str(side) for side in made.facts["input"])
    say(f"{made.path}: {shape} → {len(made.facts['classes'])} logits, of {made.facts['method']}.")
    say(fold(f"Checked on {made.checked}: the largest difference of a logit is {made.difference:.2g}."))
    say(fold(f"Preprocessing: {made.facts['preprocessing']}."))
    say(f"Use it: torch.export.load({str(made.path)!r}).module()(images)")
