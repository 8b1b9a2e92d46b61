"""What acme-adapter registers. Imports nothing heavy: it is read whenever anybody lists methods."""

from ltbench.plugin import MethodSpec, hookimpl


@hookimpl
def ltbench_methods():
    return [
        MethodSpec(
            name="acme-adapter",
            target="acme_adapter.method:AcmeAdapter",
            summary="two small layers beside each feature, and a linear head",
            families={"ltml", "partial"},
            card="card.md",
            presets="presets.yaml",
        )
    ]
