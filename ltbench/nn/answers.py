"""What a classifier hands in as its answer: its logits, or the softmax over classes that many papers define."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

Score: TypeAlias = Literal["softmax", "logits"]


def log_softmax(logits: Tensor) -> Tensor:
    """``log p`` [n, C] of the softmax over the C classes of logits [n, C], exact at both ends in float32.

    A class that leads by more than 17 has p = 1 in float32, so that all images with such a class would tie. Here log p
    is the log-sigmoid of the class's log-odds ``s_c - log sum_{j != c} exp s_j``, which keeps them apart. One class
    alone has p = 1 everywhere.
    """
    values = logits.float()
    if values.shape[1] < 2 or values.shape[0] == 0:
        return torch.zeros_like(values)
    top, leader = values.max(dim=1, keepdim=True)
    shares = (values - top).exp()
    # Where another class leads, it remains in the sum and the difference loses no digits.
    others = top + (shares.sum(dim=1, keepdim=True) - shares).clamp(min=1.0).log()
    rest = values.scatter(1, leader, float("-inf"))
    others = others.scatter(1, leader, rest.logsumexp(dim=1, keepdim=True))
    return logsigmoid(values - others)


def answer(logits: Tensor, score: Score) -> Tensor:
    """Scores [n, C] that images are ranked by within a class: logits as they are, or ``log p`` of their softmax.

    A softmax compares each class with the others of its image, so that it ranks images in another order than logits.
    It changes neither the best class of an image nor anything in training. A bias that all classes share has no effect.
    """
    return log_softmax(logits) if score == "softmax" else logits
