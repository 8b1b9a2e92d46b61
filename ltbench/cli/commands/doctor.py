"""``ltbench doctor``: will it work here?"""

from __future__ import annotations

from dataclasses import asdict

import click

from ltbench.cli.options import json_option
from ltbench.cli.output import say


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check this installation.

    Libraries and their pairing, device, disk, cache, plugins, bundled weights and data. Exit code 1 when something
    will not work.
    """
    from ltbench.cli.checks import all_checks
    from ltbench.cli.output import Column, print_json, print_table

    found = list(all_checks())
    failed = [check for check in found if check.state == "fail"]
    warned = [check for check in found if check.state == "warn"]
    if as_json:
        print_json([asdict(check) for check in found])
    else:
        rows = [
            [check.state, check.name, " → ".join(part for part in (check.found, check.todo) if part)] for check in found
        ]
        print_table(["", Column("what", whole=True), "what was found, and what to do"], rows)
        if failed:
            say(f"{len(failed)} of {len(found)} checks failed.")
        elif warned:
            say(f"It works; {len(warned)} of {len(found)} checks have a remark.")
        else:
            say("All is well.")
    if failed:
        ctx.exit(1)
