"""From places and sides to one logit a class, and the loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ltbench.losses import PartialAsymmetricLoss
from ltbench.method import Batch, Places, Scan
from ltbench.nn import RegionAggregation
from ltbench_dualcoop.sides import FreeSides, PromptSides


class DualCoOpModule(nn.Module):
    """``s_kc = scale S_kc``, the aggregated cosine of class c and side k; a class's logit is ``s_pos - s_neg``.

    Its sigmoid is the two-way softmax of Eq. 3. With one side alone the logit is ``s_pos + b``, or ``-(s_neg + b)``,
    with a learned b that starts where the mean logit has the log-odds of the observed labels.

    Args:
        places: what of an image is compared.
        sides: class features, [negative, positive] or one of them.
        pool: aggregation over places; the last side guides.
        criterion: the loss, whose ``prompts`` says which sides there are.
        scale: factor of aggregated cosines.
        loss_weight: factor of the loss.
        classes_per_step: train so many classes a step, drawn anew each time; None trains all.
        centre: mean logit of a single side at the start; not looked at with two.
    """

    bias: Tensor

    def __init__(
        self,
        places: Places,
        sides: PromptSides | FreeSides,
        pool: RegionAggregation,
        criterion: PartialAsymmetricLoss,
        scale: float = 100.0,
        loss_weight: float = 1.0,
        classes_per_step: int | None = None,
        centre: float = 0.0,
    ) -> None:
        super().__init__()
        self.places = places
        self.sides = sides
        self.pool = pool
        self.criterion = criterion
        self.scale = scale
        self.loss_weight = loss_weight
        self.classes_per_step = classes_per_step
        self.centre = centre
        self.dual = criterion.prompts == "dual"
        if not self.dual:
            self.bias = nn.Parameter(torch.zeros(()))

    def scores(self, batch: Batch, classes: Tensor | None = None) -> Tensor:
        """Scores [n, K, C] as the loss takes them; of some classes int64 [m] only, [n, K, m]."""
        scores: Tensor = self.scale * self.pool(self.places(batch.input), self.sides(classes))
        return scores if self.dual else scores + self.bias

    def logits(self, batch: Batch) -> Tensor:
        """Logits [n, C]."""
        scores = self.scores(batch)
        if self.dual:
            return scores[:, 1] - scores[:, 0]
        return -scores[:, 0] if self.criterion.prompts == "negative" else scores[:, 0]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``loss_cls``: the asymmetric loss of the known labels, summed over them, times its factor."""
        observed, classes = batch.observed, None
        count = observed.shape[1]
        if self.classes_per_step is not None and count > self.classes_per_step:
            classes = torch.randperm(count)[: self.classes_per_step].to(observed.device)
            observed = observed[:, classes]
        scores = self.scores(batch, classes)
        return {"loss_cls": self.loss_weight * self.criterion(scores if self.dual else scores[:, 0], observed)}

    @torch.no_grad()
    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Centre the logits of a single side once; later epochs and resumed runs have the bias in their state."""
        if epoch > 0 or self.dual:
            return
        total, count = 0.0, 0
        for batch in scan():
            scores = self.scores(batch)
            total += float(scores.double().sum())
            count += scores.numel()
        wanted = -self.centre if self.criterion.prompts == "negative" else self.centre
        self.bias += wanted - total / max(1, count)

    def set_classes(self, names: Sequence[str]) -> None:
        """Put the learned contexts in front of other class names."""
        self.sides.set_classes(names)
