"""The recipes for partial labels on class features in a graph. Imports no torch."""

from __future__ import annotations

from ltbench.plugin import MethodSpec, RowNote

RECIPES = {
    "ssgrl": ("ssgrl:SSGRL", "a feature for each class in a gated graph of co-occurrence (SSGRL)"),
    "kggr": ("ssgrl:KGGR", "SSGRL whose classifiers pass through a gated graph as well (KGGR)"),
    "sst": ("semantic_transfer:SST", "labels made up from co-occurrence and from images that look alike (SST)"),
    "sarb": ("representation_blending:SARB", "class features blended with other images and prototypes (SARB)"),
}
"""Recipe → code, and what it does."""
_FROZEN = RowNote(
    text="the image tower was left as it is and its regions were cached; the published training learns its last stage",
    config={"tower": "frozen"},
    mark="frozen",
)


def partial_graph_recipes() -> list[MethodSpec]:
    """Four recipes with one card."""
    return [
        MethodSpec(
            name=name,
            target=f"ltbench_baselines.partial.{target}",
            summary=summary,
            # SST and SARB make up for unknown labels and cannot do without some known absences.
            families=frozenset({"plt", "partial"} if name in ("sst", "sarb") else {"ltml", "plt", "spml", "partial"}),
            # The others have one form: SST's and SARB's is their release's, KGGR has no release.
            variants=("paper", "code") if name == "ssgrl" else ("paper",),
            card="cards/semantic-graphs.md",
            presets="presets_graphs.yaml",
            notes=(_FROZEN,),
        )
        for name, (target, summary) in RECIPES.items()
    ]
