"""``ltbench plugin``: for authors of methods."""

from __future__ import annotations

import click

from ltbench.cli.lazy import LazyGroup
from ltbench.cli.options import json_option, weights_option
from ltbench.cli.output import say

_HERE = "ltbench.cli.commands.plugin"
PLUGIN = {"check": (f"{_HERE}:check", "Run the conformance kit on a method.")}


@click.group("plugin", cls=LazyGroup, lazy=PLUGIN)
def group() -> None:
    """Check a plugin against the contract."""


@click.command()
@click.argument("name", metavar="METHOD")
@click.option("--backbone", default="tiny-clip", show_default=True, metavar="NAME", help="Encoder.")
@weights_option
@json_option
@click.pass_context
def check(ctx: click.Context, name: str, backbone: str, weights: str | None, as_json: bool) -> None:
    """Run the conformance kit on a method.

    Presets valid, finite loss, gradients only where declared, deterministic under a seed, resume equals no
    interruption, and more, on 48 small images. Exit code 1 when a check fails.
    """
    from ltbench.cli.names import check_names
    from ltbench.cli.output import Column, print_json, print_table

    check_names(name, backbone)
    from ltbench.testing.kit import check_method

    results = check_method(name, backbone, weights=weights)
    failed = [result for result in results if result.status == "failed"]
    if as_json:
        print_json([{"check": r.name, "status": r.status, "detail": r.detail} for r in results])
    else:
        print_table(
            [Column("check"), Column("result", whole=True), "what was found"],
            [[result.name, result.status, result.detail] for result in results],
        )
        passed = sum(result.status == "passed" for result in results)
        say(f"{name}: {passed} of {len(results)} checks passed, {len(failed)} failed.")
    if failed:
        ctx.exit(1)
