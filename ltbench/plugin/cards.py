"""Cards: Markdown in a plugin's package that says what a method or an encoder is."""

from __future__ import annotations

from importlib import resources

from ltbench.plugin.specs import BackboneSpec, MethodSpec


def card_of(spec: MethodSpec | BackboneSpec) -> str:
    """The card, Markdown; empty when there is none, and one line when its file is missing."""
    if spec.card is None:
        return ""
    try:
        return resources.files(spec.package).joinpath(spec.card).read_text(encoding="utf-8")
    except (OSError, ModuleNotFoundError):
        return f"(the card {spec.card} is missing from {spec.package})"
