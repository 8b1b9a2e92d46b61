"""Three prompts a class: one picks the places of an image, two are compared with them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ltbench.losses import PartialAsymmetricLoss, two_way_scores
from ltbench.method import Batch, Places
from ltbench.nn import CosineHead, PromptClassifier, PromptLearner

Winner = Literal["relative", "share", "added", "none"]
SIDES = ("evidence", "negative", "positive")


def winners(cosines: Tensor, strength: float, rule: Winner = "relative") -> Tensor:
    """Factors [n, L, C] of positive cosines [n, L, C], by which the classes of a place compete for it.

    ``a = softmax_c(strength s_lc max_c s_lc)``; a place that looks like no class makes no difference between them.
    ``share`` gives a; ``relative`` a over the largest of the place, so that the winner keeps its cosine; ``added``
    1 + a; ``none`` ones. No gradient is held back.

    Source: the winner-take-all module of DualCoOp++, in the four forms of the code named on the card.
    """
    if rule == "none":
        return torch.ones_like(cosines)
    shares = torch.softmax(strength * cosines * cosines.amax(dim=2, keepdim=True), dim=2)
    if rule == "relative":
        return shares / shares.amax(dim=2, keepdim=True)
    return shares if rule == "share" else 1.0 + shares


class EvidenceModule(nn.Module):
    """``s_kc = scale sum_l w_lc f_lkc``; a class's logit is ``s_pos - s_neg``.

    ``w_lc = softmax_l(b e_lc)`` with e the cosine of place l and the evidence prompt and b learned; f is the cosine
    with the negative prompt, and with the positive one times what :func:`winners` leaves of it.

    Source: Hu et al., DualCoOp++ (sections on evidence-guided region feature aggregation and winner-take-all).

    Args:
        places: what of an image is compared.
        prompts: learner by side, of :data:`SIDES`.
        criterion: the loss.
        sharpness: b at the start.
        strength, rule: see :func:`winners`.
        scale: factor of aggregated cosines.
        loss_weight: factor of the loss.
        chunk: prompts that go through the text tower at a time.

    Raises:
        ValueError: a side is missing.
    """

    def __init__(
        self,
        places: Places,
        prompts: Mapping[str, PromptLearner],
        criterion: PartialAsymmetricLoss,
        *,
        sharpness: float = 20.0,
        strength: float = 200.0,
        rule: Winner = "relative",
        scale: float = 20.0,
        loss_weight: float = 0.02,
        chunk: int | None = 128,
    ) -> None:
        super().__init__()
        if set(prompts) != set(SIDES):
            raise ValueError(f"expected prompts for {', '.join(SIDES)}, got {sorted(prompts)}")
        self.places = places
        # Their heads are left out: classifiers keep class features while no gradients are asked for.
        self.sides = nn.ModuleDict({name: PromptClassifier(prompts[name], CosineHead(), chunk) for name in SIDES})
        self.criterion = criterion
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(sharpness)))
        self.strength = strength
        self.rule: Winner = rule
        self.scale = scale
        self.loss_weight = loss_weight

    def features(self) -> list[Tensor]:
        """Class features [C, D] of evidence, negative and positive prompts."""
        return [self.sides[name].class_features() for name in SIDES]  # type: ignore[operator]

    def scores(self, batch: Batch) -> Tensor:
        """Scores [n, 2, C], the negative side first."""
        places = normalize(self.places(batch.input), dim=-1)
        evidence, negative, positive = (places @ normalize(side, dim=-1).T for side in self.features())
        weights = torch.softmax(self.log_sharpness.exp() * evidence, dim=1)
        positive = positive * winners(positive, self.strength, self.rule)
        return self.scale * torch.stack([(weights * side).sum(dim=1) for side in (negative, positive)], dim=1)

    def logits(self, batch: Batch) -> Tensor:
        """Logits float32 [n, C]."""
        return two_way_scores(self.scores(batch))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss_cls``: the asymmetric loss of the known labels, summed over them, times its factor."""
        return {"loss_cls": self.loss_weight * self.criterion(self.scores(batch), batch.observed)}

    def set_classes(self, names: Sequence[str]) -> None:
        """Put the learned contexts in front of other class names.

        Raises:
            UserError: the contexts are class-specific, or a prompt does not fit the tower.
        """
        for side in self.sides.values():
            side.set_classes(names)  # type: ignore[operator]
