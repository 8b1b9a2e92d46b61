"""``ltbench show method``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ltbench.cli.options import json_option
from ltbench.cli.output import fold, print_facts, print_json, print_markdown, say
from ltbench.cli.presets import backbones_of, preset_lines

if TYPE_CHECKING:
    from ltbench.method.config import Needs


@click.command()
@click.argument("name")
@json_option
def method(name: str, as_json: bool) -> None:
    """A method's card, options and presets."""
    from ltbench.method.config import load_presets
    from ltbench.method.facts import facts_of
    from ltbench.plugin.cards import card_of
    from ltbench.plugin.manager import registry

    item = registry().methods.get(name)
    spec = item.spec
    facts = facts_of(spec)
    needs, options = facts.needs, [option.model_dump() for option in facts.options]
    presets = load_presets(spec)
    card = card_of(spec)
    if as_json:
        print_json(
            {
                "name": spec.name,
                "summary": spec.summary,
                "distribution": item.distribution,
                "version": item.version,
                "families": sorted(spec.families),
                "variants": list(spec.variants),
                "deterministic": spec.deterministic,
                "needs": needs.model_dump(mode="json"),
                "options": options,
                "presets": [preset.model_dump(mode="json") for preset in presets],
                "card": card,
            }
        )
        return
    print_facts(
        {
            "method": f"{spec.name} ({item.distribution} {item.version})",
            "summary": spec.summary,
            "made for": ", ".join(sorted(spec.families)) or "any task",
            "variants": ", ".join(spec.variants),
            "needs": _needs(needs),
            "seed": "changes nothing" if spec.deterministic else "matters",
            "presets for": backbones_of(presets),
        }
    )
    if card:
        say()
        print_markdown(card)
    # Text, not tables: what draws tables takes as long to import as all the rest.
    if options:
        say("\nOptions (-o option=value)")
    for option in options:
        say(f"{option['name']} = {option['value']}")
        if option["description"]:
            say(fold(f"    {option['description']}", "    "))
    if presets:
        say(f"\nPresets (--preset name), {len(presets)}")
    for line in preset_lines(presets):
        say(line)


def _needs(needs: Needs) -> str:
    parts = [f"{needs.input} input" if needs.input == "image" else f"{needs.input} features"]
    parts += [
        text
        for wanted, text in (
            (needs.text, "a text tower"),
            (needs.captions, "captions"),
            (needs.groups is True, "label groups"),
            (needs.groups == "if-given", "label groups where there are some"),
            (needs.validation, "validation rows"),
        )
        if wanted
    ]
    classes = "also answers for classes first seen at test" if needs.classes == "open" else "its training classes only"
    return f"{', '.join(parts)}; {classes}"
