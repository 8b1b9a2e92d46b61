"""``ltbench plugins``: what is installed, and how it fares."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ltbench.cli.options import json_option
from ltbench.cli.output import Column, print_json, print_table, say

if TYPE_CHECKING:
    from ltbench.plugin.manager import PluginReport


@click.command()
@click.option("--traceback", "show_trace", is_flag=True, help="Show the tracebacks of broken plugins.")
@json_option
def plugins(show_trace: bool, as_json: bool) -> None:
    """List plugins and their health."""
    from ltbench.plugin.manager import ALLOW_LIST, registry

    found = registry()
    conflicts = found.conflicts()
    if as_json:
        print_json(
            {
                "plugins": [asdict(report) for report in found.reports],
                "conflicts": conflicts,
                "unmatched": list(found.unmatched),
            }
        )
        return
    print_table(
        [Column("plugin", whole=True), "distribution", "health", "provides"],
        [
            [report.name, f"{report.distribution} {report.version}", _health(report), _provides(report)]
            for report in found.reports
        ],
    )
    for line in conflicts:
        say(f"conflict: {line} → uninstall one of them, or set {ALLOW_LIST}")
    for name in found.unmatched:
        say(f"{ALLOW_LIST} names {name!r}, which is not installed → pip install {name}")
    broken = [report for report in found.reports if report.status == "broken"]
    if show_trace:
        for report in broken:
            say(f"\n{report.name} ({report.module}):\n{report.trace.rstrip()}")
    elif broken:
        say("why a plugin is broken: ltbench plugins --traceback")


def _health(report: PluginReport) -> str:
    return report.status if not report.problem else f"{report.status}: {report.problem}"


def _provides(report: PluginReport) -> str:
    """``3 tasks, 1 method`` with the names where they are few."""
    kinds: dict[str, list[str]] = {}
    for entry in report.provides:
        kind, _, name = entry.partition(" ")
        kinds.setdefault(kind, []).append(name)
    return "; ".join(
        f"{kind} {names[0]}" if len(names) == 1 else f"{kind}s {', '.join(names)}" for kind, names in kinds.items()
    )
