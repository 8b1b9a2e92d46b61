"""What acme-prompts registers. Imports nothing heavy: it is read whenever anybody lists methods."""

from ltbench.plugin import MethodSpec, hookimpl


@hookimpl
def ltbench_methods():
    return [
        MethodSpec(
            name="acme-prompts",
            target="acme_prompts.method:AcmePrompts",
            summary="learned prompts whose names are looked for in each region",
            families={"ltml", "partial"},
            card="card.md",
            presets="presets.yaml",
        )
    ]
