"""Options of methods whose class vectors come out of a graph of labels, as ML-GCN's do."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from ltbench.method.method import Context
from ltbench.method.words import WordVectorConfig
from ltbench.nn import label_adjacency, normalised_adjacency


class LabelGraphConfig(WordVectorConfig):
    """Which labels are linked, and the graph convolutions over them. Sources in brackets: ML-GCN's section."""

    threshold: float = Field(0.4, ge=0, le=1, description="tau: labels are linked where P(j|i) reaches it [4.2]")
    neighbour_weight: float | None = Field(
        None, ge=0, le=1, description="p: share of the neighbours; None: 0.2 (paper), 0.25 (code) [4.2; release]"
    )
    hidden: int = Field(1024, ge=1, description="size of a node's features between the convolutions [4.2]")
    slope: float = Field(0.2, ge=0, lt=1, description="slope of LeakyReLU for negative values [4.2]")

    def links(self, context: Context) -> Tensor:
        """Normalised adjacency [C, C] of the labels, from the observed ones of the training rows.

        P(j|i) is taken over the rows where j is known: over all rows where i is present it would shrink with the share
        of known labels, and the published threshold would leave no link.
        """
        links = label_adjacency(
            context.stats.cooccurrence,
            context.stats.positives,
            threshold=self.threshold,
            weight=self.neighbour_weight,
            form=context.variant,
            told=context.stats.told,
        )
        return normalised_adjacency(links, form=context.variant)
