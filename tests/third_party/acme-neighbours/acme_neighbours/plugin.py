"""What acme-neighbours registers. Imports nothing heavy: it is read whenever anybody lists methods."""

from ltbench.plugin import MethodSpec, hookimpl


@hookimpl
def ltbench_methods():
    return [
        MethodSpec(
            name="acme-neighbours",
            target="acme_neighbours.method:AcmeNeighbours",
            summary="the labels of the nearest training rows vote",
            families={"ltml", "partial"},
            deterministic=True,
            card="card.md",
            presets="presets.yaml",
        )
    ]
