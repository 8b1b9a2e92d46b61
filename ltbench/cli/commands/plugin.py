"""``ltbench plugin``: for authors of methods."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from ltbench.cli.lazy import LazyGroup
from ltbench.cli.options import PATH, MethodName, json_option, weights_option
from ltbench.cli.output import say
from ltbench.plugin.errors import UserError

_HERE = "ltbench.cli.commands.plugin"
PLUGIN = {
    "new": (f"{_HERE}:new", "Write a distribution for a method of your own."),
    "check": (f"{_HERE}:check", "Run the conformance kit on a method."),
}


@click.group("plugin", cls=LazyGroup, lazy=PLUGIN)
def group() -> None:
    """Write a plugin, and check it against the contract."""


@click.command()
@click.argument("name", metavar="NAME")
@click.option(
    "--inputs",
    type=click.Choice(["image", "global", "region"]),
    default="global",
    show_default=True,
    help="What the method sees: pixels, one feature an image, or one a region.",
)
@click.option("--fit", is_flag=True, help="Fitted in one call, without gradients.")
@click.option("--task", is_flag=True, help="With a task.")
@click.option("--dataset", is_flag=True, help="With a data set, and a task on it.")
@click.option("--backbone", is_flag=True, help="With an encoder.")
@click.option("--out", type=PATH, default=None, metavar="DIR", help="A new or empty folder. [default: NAME]")
def new(name: str, inputs: Any, fit: bool, task: bool, dataset: bool, backbone: bool, out: Path | None) -> None:
    """Write a distribution for a method of your own.

    It is complete, learns, and passes its own tests as it is written: entry point, method, preset, card, tests on the
    conformance kit, README, licence, and continuous integration.
    """
    from ltbench.testing.scaffold import Wanted, write

    folder = out or Path(name)
    for path in write(Wanted(name, inputs, fit, task, dataset, backbone), folder):
        click.echo(path)
    click.echo(f"Next: cd {shlex.quote(str(folder))} && pip install -e .[test] && pytest")


@click.command()
@click.argument("name", type=MethodName(), required=False, metavar="[METHOD]")
@click.option("--file", "file", type=MethodName(), default=None, metavar="FILE", help="A method's file: my.py[:CLASS].")
@click.option("--backbone", default="tiny-clip", show_default=True, metavar="NAME", help="Encoder.")
@weights_option
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    metavar="S",
    default=600.0,
    show_default=True,
    help="Time limit of one check.",
)
@json_option
@click.pass_context
def check(
    ctx: click.Context,
    name: str | None,
    file: str | None,
    backbone: str,
    weights: str | None,
    seconds: float,
    as_json: bool,
) -> None:
    """Run the conformance kit on a method.

    METHOD is a name, or a file as for --file. Presets valid, finite loss, gradients only where declared, deterministic
    under a seed, resume equals no interruption, and more, on 48 small images. A method that raises, diverges or hangs
    ends the kit; file and line are named. Exit code 1 when a check fails.
    """
    from ltbench.cli.names import check_names
    from ltbench.cli.output import Column, print_json, print_table

    if (name is None) == (file is None):
        raise UserError("name one method, or one file of a method", "ltbench plugin check METHOD")
    method = name or file or ""
    check_names(method, backbone)
    from ltbench.testing.kit import check_method

    results = check_method(method, backbone, weights=weights, seconds=seconds)
    failed = [result for result in results if result.status == "failed"]
    if as_json:
        stated = ("status", "detail", "place")
        print_json([{"check": r.name, **{key: getattr(r, key) for key in stated}} for r in results])
    else:
        # What was not reached has nothing to say.
        shown = [result for result in results if result.reason != "not-reached"]
        print_table(
            [Column("check"), Column("result", whole=True), "what was found"],
            [[result.name, result.status, result.line] for result in shown],
        )
        passed = sum(result.status == "passed" for result in results)
        left = f", {len(results) - len(shown)} not looked at" if len(shown) < len(results) else ""
        say(f"{method}: {passed} of {len(results)} checks passed, {len(failed)} failed{left}.")
    if ctx.find_root().params.get("debug"):
        for result in failed:
            click.echo(result.trace, err=True, nl=False)
    if failed:
        ctx.exit(1)
