"""``ltbench show``: one thing in full."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ltbench.cli.lazy import LazyGroup
from ltbench.cli.options import PATH, json_option
from ltbench.cli.output import print_facts, print_json, print_markdown, say

_HERE = "ltbench.cli.commands.show"
SHOW = {
    "task": ("ltbench.cli.commands.show_task:task", "What a task asks, and its traps."),
    "method": ("ltbench.cli.commands.show_method:method", "A method's card, options and presets."),
    "backbone": (f"{_HERE}:backbone", "What a backbone offers, and its card."),
    "run": (f"{_HERE}:run", "What a run scored."),
    "curves": ("ltbench.cli.commands.show_curves:curves", "Give the curves of runs to TensorBoard."),
}


@click.group("show", cls=LazyGroup, lazy=SHOW)
def group() -> None:
    """Show one task, method, backbone or run."""


@click.command()
@click.argument("name")
@json_option
def backbone(name: str, as_json: bool) -> None:
    """What a backbone offers, and its card."""
    from ltbench.plugin.cards import card_of
    from ltbench.plugin.manager import registry

    item = registry().backbones.get(name.partition(":")[0])
    spec = item.spec
    facts: dict[str, Any] = {
        "name": f"{spec.name}:…" if spec.prefix else spec.name,
        "summary": spec.summary,
        "offers": list(spec.offers),
        "image_size": spec.image_size,
        "pretraining": spec.pretraining,
        "distribution": f"{item.distribution} {item.version}",
    }
    card = card_of(spec)
    if as_json:
        print_json({**facts, "card": card})
        return
    shown = {
        **facts,
        "offers": ", ".join(spec.offers),
        "image_size": "any" if spec.image_size is None else f"{spec.image_size} x {spec.image_size}",
    }
    print_facts({key.replace("_", " "): str(value) for key, value in shown.items()})
    if card:
        say()
        print_markdown(card)
    example = spec.summary.rpartition("e.g. ")[2] if spec.prefix and "e.g. " in spec.summary else spec.name
    say(f"Run: ltbench run --task shapes-lt --method linear-probe --backbone {example}")


@click.command()
@click.argument("name", metavar="RUN")
@click.option(
    "--out", type=PATH, default=Path("ltbench-runs"), show_default=True, help="Folder of runs, to look up a key."
)
@json_option
def run(name: str, out: Path, as_json: bool) -> None:
    """What a run scored.

    RUN is a record, its folder, or the first digits of its key as ltbench list runs shows it. --json is the record, and
    "classes" with each class's average precision, group and positives.
    """
    from ltbench.cli.names import find_record
    from ltbench.records.read import load_record

    path = find_record(name, out)
    record = load_record(path)
    if as_json:
        from ltbench.cli.classes import classes_of

        print_json({**record.model_dump(mode="json"), "classes": classes_of(record)})
        return
    from ltbench.cli.results import print_record

    print_record(record, path)
