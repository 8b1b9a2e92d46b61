"""Prompts of the classes beside the places of an image: what they become is compared with what they were."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from ltbench.backbones.base import Backbone
from ltbench.losses import AsymmetricLoss
from ltbench.method import Batch, FineTuned

Paths = Literal["both", "features", "prompts"]


class Mixing(nn.Module):
    """One block of a transformer that normalises first: ``x + A(LN x)``, then ``x + F(LN x)``.

    A is attention of H heads of their own size among all vectors of an image, without biases on queries, keys and
    values; F is linear, GELU, linear.

    Source: the encoder of CPRFL's release.

    Args:
        dim: size of a vector.
        heads, head_dim: H, and the size of a head.
        hidden: size between the two linear maps of F.
        dropout: probability of leaving out an element of what A and F give, in training mode.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        inner = heads * head_dim
        self.heads = heads
        self.before_attention, self.before_feeding = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.queries_keys_values = nn.Linear(dim, 3 * inner, bias=False)
        self.out = nn.Sequential(nn.Linear(inner, dim), nn.Dropout(dropout))
        self.feed = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim), nn.Dropout(dropout)
        )

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors [n, M, D] of vectors [n, M, D]."""
        parts = self.queries_keys_values(self.before_attention(vectors)).chunk(3, dim=2)
        # [n, H, M, D of a head]
        query, key, value = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)
        attended = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        vectors = vectors + self.out(attended)
        fed: Tensor = vectors + self.feed(self.before_feeding(vectors))
        return fed


class PromptedRegions(nn.Module):
    """``logit_c = z_c . q_c``: q are prompts made from the class names, z what they are behind the blocks.

    ``q = W2 gelu(W1 t)`` with t the text features of the names; ``[.., z] = blocks([W x, q])`` with x the regions.
    With both `paths` the loss reaches the prompts through z and through the product; ``features`` holds it back in the
    product, ``prompts`` in z.

    Source: Yan et al., Category-Prompt Refined Feature Learning for Long-Tailed Multi-Label Image Classification, ACM
    MM 2024, as its release computes it.

    Args:
        texts: t [C, T].
        region_dim: size of a region.
        width: size of a prompt.
        heads, head_dim, hidden, dropout: see :class:`Mixing`.
        depth: number of blocks.
        paths: see above.
    """

    texts: Tensor

    def __init__(
        self,
        texts: Tensor,
        region_dim: int,
        width: int,
        *,
        heads: int = 8,
        head_dim: int = 512,
        hidden: int = 2048,
        dropout: float = 0.1,
        depth: int = 1,
        paths: Paths = "both",
    ) -> None:
        super().__init__()
        self.register_buffer("texts", texts)
        half = max(1, width // 2)
        self.prompt = nn.Sequential(nn.Linear(texts.shape[1], half), nn.GELU(), nn.Linear(half, width))
        self.place = nn.Linear(region_dim, width)
        self.blocks = nn.Sequential(*(Mixing(width, heads, head_dim, hidden, dropout) for _ in range(depth)))
        self.paths = paths

    def forward(self, regions: Tensor) -> Tensor:
        """Logits float32 [n, C] of regions [n, L, R]."""
        prompts = self.prompt(self.texts)
        shown = prompts.expand(regions.shape[0], -1, -1)
        refined = self.blocks(torch.cat([self.place(regions), shown], dim=1))[:, -len(prompts) :]
        if self.paths == "prompts":
            refined = refined.detach()
        held = prompts.detach() if self.paths == "features" else prompts
        logits: Tensor = (refined.float() * held.float()).sum(dim=2)
        return logits


class CPRFLModule(FineTuned):
    """Image tower or its cached regions, prompts, and the asymmetric loss."""

    head: PromptedRegions
    criterion: AsymmetricLoss

    def __init__(
        self,
        backbone: Backbone,
        head: PromptedRegions,
        criterion: AsymmetricLoss,
        batch_norm: Literal["eval", "train"] = "eval",
        freeze: tuple[str, ...] = (),
        tower: Literal["trained", "frozen"] = "trained",
    ) -> None:
        super().__init__(backbone, head, criterion, batch_norm, freeze, tower)
        self._encoder = backbone

    def trained(self) -> list[nn.Parameter]:
        """Those of the tower that regions pass through: no queries and keys of CLIP's attention pool."""
        idle = ("attnpool.q_proj.", "attnpool.k_proj.")
        beside = {id(p) for name, p in self.tower.named_parameters() if name.startswith(idle)}
        return [p for p in super().trained() if id(p) not in beside]

    def features(self, batch: Batch) -> Tensor:
        """Regions [n, L, R] of a batch, with gradients where the tower is trained."""
        if isinstance(batch.input, tuple):
            return batch.input[1].float()
        images = batch.features.contiguous(memory_format=torch.channels_last)
        return self._encoder.encode_regions(images)[1]
