"""Factors on the logits of a classifier that stays as it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ClassScales(nn.Module):
    """One learned factor f a class, for the logits ``w x + b`` of a linear head: ``f w x + b`` or ``f (w x + b)``.

    All factors start from 1. As long as a factor is positive, the order of images within its class stays what it was.

    Source: learnable weight scaling (LWS) of Kang et al., Decoupling Representation and Classifier for Long-Tailed
    Recognition, ICLR 2020, section 4.1: f scales the class weight w. Their release scales the whole logit.

    Args:
        classes: number of classes C.
        whole: scale the bias too.
    """

    def __init__(self, classes: int, whole: bool = False) -> None:
        super().__init__()
        self.whole = whole
        self.factors = nn.Parameter(torch.ones(classes))

    def forward(self, logits: Tensor, bias: Tensor | None = None) -> Tensor:
        """Scaled logits [..., C] of logits [..., C] and the bias [C] that is in them; None where there is none."""
        if self.whole or bias is None:
            return logits * self.factors
        return (logits - bias) * self.factors + bias
