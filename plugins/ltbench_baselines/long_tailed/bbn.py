"""BBN: a branch for rows as they come, one for rows that favour the tail, and a weight that moves between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ltbench.backbones.base import Backbone
from ltbench.losses import BCELoss
from ltbench.method import Batch, Choice, Context, Method, Needs, Sampler, Scan, SearchSpace, Stage
from ltbench.nn import ClassDrawSampler, LinearHead, ShuffleSampler, split_streams
from ltbench_baselines.long_tailed.two_branches import TwoBranches, TwoStreamConfig, known_labels, rates


class BilateralBranches(TwoBranches):
    """Logits ``W [a f_c, (1 - a) f_r] + b`` of a pair of images, and the losses of both images' labels.

    ``a`` falls from 1 by a parabola over epochs; predictions take 1/2 and one image for both branches.

    Args:
        classes: number of classes C.
        horizon: epochs T_max at which a would be 0.
        factor: what the mixed features are multiplied by (2 in the released code).
    """

    alpha: Tensor

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        config: TwoStreamConfig,
        horizon: int,
        factor: float,
    ) -> None:
        super().__init__(backbone, LinearHead(2 * backbone.card.dim, classes), BCELoss(), config, whole_stage=False)
        self.horizon = horizon
        self.factor = factor
        self.register_buffer("alpha", torch.tensor(1.0))

    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """The weight of the epoch, counted from 0 as in the released code."""
        self.alpha.fill_(1.0 - (epoch / self.horizon) ** 2)

    def _mixed(self, conventional: Tensor, rebalanced: Tensor, alpha: Tensor | float) -> Tensor:
        features = torch.cat([alpha * conventional, (1.0 - alpha) * rebalanced], dim=1)
        logits: Tensor = self.head(self.factor * features)
        return logits

    def logits(self, batch: Batch) -> Tensor:
        """Logits float32 [n, C]: each image through both branches, weighed alike."""
        return self._mixed(*self.both(batch), 0.5)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """``a BCE(z, y_c) + (1 - a) BCE(z, y_r)``, the logits z mixed from an even row c and the odd row r after it."""
        conventional, rebalanced = self.apart(batch)
        first, second = split_streams(batch.observed, 2)
        # An image without a known label is mixed in, but is not to be moved by the labels of its partner.
        conventional = torch.where((first != 0).any(1, keepdim=True), conventional, conventional.detach())
        rebalanced = torch.where((second != 0).any(1, keepdim=True), rebalanced, rebalanced.detach())
        logits = self._mixed(conventional, rebalanced, self.alpha)
        return {
            "loss_conventional": self.alpha * self.criterion(logits, first),
            "loss_rebalancing": (1.0 - self.alpha) * self.criterion(logits, second),
        }


class BBN(Method):
    """Learns two ends of one image tower: one from rows as they come, one from rows drawn by reversed frequency.

    Source: Zhou et al., BBN: Bilateral-Branch Network with Cumulative Learning, CVPR 2020, and the released code
    (megvii-research/BBN). Paper and code have one label an image and a softmax; for several labels binary
    cross-entropy takes its place.
    """

    class Config(TwoStreamConfig):
        """Options of ``bbn``. Sources in brackets; "ours" where neither paper nor code fixes one."""

        sampler: Literal["reversed", "balanced", "uniform"] = Field(  # type: ignore[assignment]
            "reversed", description="second stream: classes by 1/n_c, equally often, or rows evenly [BBN 4.2: reversed]"
        )
        branch: tuple[str, ...] | None = Field(
            None, description="parts that each branch has for itself; null: the last block of the tower [BBN 4.1]"
        )

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rates, decay, augmentation; weight and sampler stay the published ones."""
        return {**rates(), "augment": Choice(("none", "flip"))}

    def needs(self) -> Needs:
        """Images, or features where the tower is frozen.

        Reversed draws move the share of positives, so sigmoids of the logits are no probabilities.
        """
        return Needs(input=self.config.input, classes="fixed", images=self.config.images, calibrated=False)

    def _second(self, context: Context) -> Sampler:
        if self.config.sampler == "uniform":
            return ShuffleSampler(context.stats.rows)
        observed = known_labels(context)
        counts = np.maximum(1, context.stats.positives)
        return ClassDrawSampler(observed, 1.0 / counts if self.config.sampler == "reversed" else np.ones(len(counts)))

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage."""
        config = self.config
        backbone = context.backbone
        horizon, code = config.epochs, context.variant == "code"
        if code and horizon in (90, 180):
            # The released trainer stretches these two lengths to the next hundred.
            horizon = 100 * (horizon // 100 + 1)
        module = BilateralBranches(
            backbone,
            len(context.class_names),
            config,
            horizon=horizon,
            factor=2.0 if code else 1.0,
        )
        return [config.two_branches(module, context, self._second(context))]
