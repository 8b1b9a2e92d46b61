"""LTML: one branch for even rows, one for class-aware rows, and a price for their disagreement on the same image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn

from ltbench.backbones.base import Backbone
from ltbench.losses import BCELoss, MultiLabelLoss, WeightedLoss
from ltbench.method import Batch, Choice, Context, Method, Needs, ParamGroup, SearchSpace, Stage, Stats, Uniform
from ltbench.nn import ClassAwareSampler, LinearHead, split_streams
from ltbench_baselines.long_tailed.two_branches import TwoBranches, TwoStreamConfig, known_labels, rates


class RatioWeightedLoss(WeightedLoss):
    """Binary cross-entropy times ``exp(1 - p_c)`` where a label is present and ``exp(p_c)`` where it is absent.

    p_c is the share of positives. "mean" divides by the number of known labels.

    Source: DeepMAR (Li, Chen, Huang, ACPR 2015), with its sigma at 1.

    Args:
        shares: positives among the known training labels of each class [C], in [0, 1].
    """

    shares: Tensor

    def __init__(self, shares: npt.NDArray[np.float64]) -> None:
        super().__init__()
        self.register_buffer("shares", torch.tensor(shares, dtype=torch.float32))

    def weights(self, labels: Tensor) -> Tensor:
        shares = self.shares.to(labels.dtype)
        return torch.where(labels > 0, torch.exp(1.0 - shares), torch.exp(shares))


class LogitCompensation(nn.Module):
    """A scale and a shift of the logit, learned for each class, one pair where it is present and one where not.

    Seen by the loss only. It takes up how far from zero the logits of the two sides of a class are pushed, so that the
    network need not. Starts as the identity. Learned fast, it would lower the loss by itself, as it knows the labels.

    Args:
        classes: number of classes C.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2, classes))
        self.shift = nn.Parameter(torch.zeros(2, classes))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits [n, C] of labels [n, C], compensated."""
        present = labels > 0
        scale = torch.where(present, self.scale[0], self.scale[1])
        return scale * logits + torch.where(present, self.shift[0], self.shift[1])


class CollaborativeBranches(TwoBranches):
    """Each stream is classified by its own branch and seen by both, whose logits are to agree.

    Args:
        classes: number of classes C.
        criterion: loss of logits and labels, of either branch.
        agreement: weight of the two disagreements.
        compensate: compensate the logits that the losses see.
    """

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        criterion: MultiLabelLoss,
        config: TwoStreamConfig,
        agreement: float,
        compensate: bool,
    ) -> None:
        heads = nn.ModuleList(LinearHead(backbone.card.dim, classes) for _ in range(2))
        super().__init__(backbone, heads, criterion, config, whole_stage=True)
        self.agreement = agreement
        self.compensation = nn.ModuleList(LogitCompensation(classes) for _ in range(2 if compensate else 0))

    def _both_logits(self, batch: Batch) -> list[Tensor]:
        assert isinstance(self.head, nn.ModuleList)
        return [head(features) for head, features in zip(self.head, self.both(batch), strict=True)]

    def logits(self, batch: Batch) -> Tensor:
        """Logits float32 [n, C], the mean of both branches."""
        uniform, rebalanced = self._both_logits(batch)
        return (uniform + rebalanced) / 2

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Classification of each stream by its branch, and the mean squared difference of the branches on it."""
        # Of either branch, the rows of both streams: [branch][stream].
        logits = [split_streams(one, 2) for one in self._both_logits(batch)]
        terms: dict[str, Tensor] = {}
        for number, name in enumerate(("uniform", "rebalanced")):
            labels = split_streams(batch.observed, 2)[number]
            own, other = logits[number][number], logits[1 - number][number]
            seen = self.compensation[number](own, labels) if len(self.compensation) else own
            terms[f"loss_{name}"] = self.criterion(seen, labels)
            known = labels != 0
            apart = torch.where(known, own - other, 0.0).square().sum() / known.sum().clamp(min=1)
            terms[f"loss_agreement_{name}"] = self.agreement * apart
        return terms


class LTML(Method):
    """Learns two ends of one image tower, from even rows and from class-aware rows, that agree on each image.

    Source: Guo and Wang, Long-Tailed Multi-Label Visual Recognition by Collaborative Training on Uniform and
    Re-balanced Samplings, CVPR 2021, as a public reproduction gives it; no code was released. See the card.
    """

    class Config(TwoStreamConfig):
        """Options of ``ltml``. Sources in brackets, repro: the public reproduction; "ours" where none fixes one."""

        sampler: Literal["class-aware"] = Field(
            "class-aware", description="second stream: each class as often as any other [LTML]"
        )
        branch: tuple[str, ...] | None = Field(
            None, description="parts that each branch has for itself; null: a ResNet's last stage [LTML]"
        )
        agreement: float = Field(0.1, ge=0, description="weight of the squared difference of logits [repro]")
        weighting: Literal["ratio", "none"] = Field(
            "ratio", description="weights of the cross-entropy by the share of positives, or none [DeepMAR; ours]"
        )
        compensation: bool = Field(True, description="learn scale and shift of logits by class and sign [LTML; ours]")
        compensation_lr: float = Field(3e-4, gt=0, description="learning rate of scales and shifts [ours]")

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rates, decay, the weight of agreement, augmentation."""
        return {**rates(), "agreement": Uniform(0.01, 1.0, log=True), "augment": Choice(("none", "flip"))}

    def needs(self) -> Needs:
        """Images, or features where the tower is frozen.

        Class-aware draws move the share of positives, so sigmoids of the logits are no probabilities.
        """
        return Needs(input=self.config.input, classes="fixed", images=self.config.images, calibrated=False)

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage."""
        config = self.config
        module = CollaborativeBranches(
            context.backbone,
            len(context.class_names),
            RatioWeightedLoss(shares(context.stats)) if config.weighting == "ratio" else BCELoss(),
            config,
            agreement=config.agreement,
            compensate=config.compensation,
        )
        learned = list(module.compensation.parameters())
        more = [ParamGroup(learned, config.compensation_lr, 0.0, config.course(), "compensation")] if learned else []
        rebalanced = ClassAwareSampler(known_labels(context), config.sampler_reduce, config.sampler_draws)
        return [config.two_branches(module, context, rebalanced, *more)]


def shares(stats: Stats) -> npt.NDArray[np.float64]:
    """Positives among the known labels of each class [C]; 0 where no label is known."""
    return np.asarray(stats.positives / np.maximum(1, stats.positives + stats.negatives), dtype=np.float64)
