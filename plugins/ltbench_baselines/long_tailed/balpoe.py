"""BalPoE: experts that are each trained for another share of positives, and averaged."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.distributions import Beta

from ltbench.backbones.base import Backbone
from ltbench.losses import BCELoss
from ltbench.method import (
    Batch,
    Choice,
    Context,
    FineTuned,
    Method,
    Needs,
    ParamGroup,
    SearchSpace,
    Stage,
    Stats,
    Uniform,
    ViewedConfig,
)
from ltbench.nn import CosineHead, TowerBranches
from ltbench.plugin.errors import UserError


class CosineClassifier(nn.Module):
    """``logits = scale cos(x, w_c)``, class vectors [C, D] learned, no bias.

    Without a bias the adjustment of an expert's logits cannot be learned away, which is what makes experts differ.

    Args:
        dim: size of a feature.
        classes: number of classes C.
        scale: fixed factor of the cosines.
    """

    def __init__(self, dim: int, classes: int, scale: float) -> None:
        super().__init__()
        self.vectors = nn.Parameter(nn.functional.normalize(torch.empty(classes, dim).uniform_(-1, 1), dim=1))
        self.cosine = CosineHead(scale)

    def forward(self, features: Tensor) -> Tensor:
        """Logits [n, C] of features [n, D]."""
        logits: Tensor = self.cosine(features, self.vectors)
        return logits


def adjustments(stats: Stats, targets: Sequence[float]) -> Tensor:
    """What is added to logits in training, float32 [K, C]: ``(1 - lambda_k) log(pi_c / (1 - pi_c))`` for expert k.

    An expert is trained for data whose share of positives is the training rows' to the power of lambda: 1 leaves it as
    it is, 0 makes it even, -1 turns it round. For a softmax the release adds (1 - lambda) log pi_c; with two outcomes,
    a label present or absent, the difference of the two is the log-odds.

    Args:
        stats: counts of the observed labels; pi_c is the share of positives among the known ones.
        targets: lambda of each expert.
    """
    odds = torch.logit(torch.tensor(stats.prior, dtype=torch.float64))
    return ((1.0 - torch.tensor(list(targets), dtype=torch.float64))[:, None] * odds).float()


class Experts(FineTuned):
    """An image tower with K classifiers, each with its own adjustment; their mean predicts.

    Args:
        backbone: whose image tower is trained.
        adjustment: [K, C], see :func:`adjustments`.
        config: options.

    Raises:
        UserError: the tower has no part that an expert is to have for itself, or it is frozen.
    """

    adjustment: Tensor
    head: nn.ModuleList

    def __init__(self, backbone: Backbone, adjustment: Tensor, config: BalPoE.Config) -> None:
        experts, classes = adjustment.shape
        heads = nn.ModuleList(CosineClassifier(backbone.card.dim, classes, config.scale) for _ in range(experts))
        super().__init__(
            backbone, heads, BCELoss(), batch_norm=config.batch_norm, freeze=config.freeze, tower=config.tower
        )
        self.mixup = config.mixup
        self.register_buffer("adjustment", adjustment)
        self.branches: TowerBranches | None = None
        if config.own_parts and experts > 1:
            frozen = [part for part in config.own_parts for name in config.freeze if f"{part}.".startswith(f"{name}.")]
            if frozen:
                raise UserError(f"own_parts: {frozen[0]!r} is frozen, so experts would be equal", "-o own_parts=[…]")
            try:
                self.branches = TowerBranches(self.tower, config.own_parts, experts)
            except AttributeError as error:
                raise UserError(f"own_parts: backbone {backbone.card.name}: {error}", "-o own_parts=[…]") from error
            # As the tower: what convolutions are fastest in.
            self.branches.to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> Experts:
        """Training mode as for the tower; the experts' own parts are in the mode of the parts they stand for."""
        super().train(mode)
        if self.branches is not None:
            self.branches.follow()
        return self

    def trained(self) -> list[nn.Parameter]:
        """Parameters of the tower that are not frozen, and of the experts' own parts."""
        own = [] if self.branches is None else list(self.branches.parameters())
        return [*super().trained(), *own]

    def opinions(self, batch: Batch) -> Tensor:
        """Logits [K, n, C] of the experts, without adjustment."""
        experts = len(self.head)
        with self.branches.every() if self.branches is not None else nullcontext():
            features = self.features(batch)
        parts = features.chunk(experts) if self.branches is not None else (features,) * experts
        return torch.stack([head(part) for head, part in zip(self.head, parts, strict=True)])

    def logits(self, batch: Batch) -> Tensor:
        """Logits float32 [n, C]: the mean over the experts."""
        return self.opinions(batch).mean(dim=0)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean over the experts of the binary cross-entropy of adjusted logits, for mixed inputs where asked for.

        Images are mixed, or features where the tower is frozen.
        """
        if not (self.mixup and self.training):
            return {"loss_cls": self._loss(self.opinions(batch), batch.observed)}
        share = float(Beta(self.mixup, self.mixup).sample())
        partner = _partners(batch.observed)
        mixed = share * batch.features + (1.0 - share) * batch.features[partner]
        opinions = self.opinions(Batch(batch.rows, mixed, batch.observed))
        own, other = self._loss(opinions, batch.observed), self._loss(opinions, batch.observed[partner])
        return {"loss_cls": share * own + (1.0 - share) * other}

    def _loss(self, opinions: Tensor, observed: Tensor) -> Tensor:
        adjusted = opinions + self.adjustment[:, None, :]
        return torch.stack([self.criterion(logits, observed) for logits in adjusted]).mean()


def _partners(observed: Tensor) -> Tensor:
    """Row with which each is mixed, int64 [n]; rows without a known label teach nothing and stay by themselves."""
    known = torch.nonzero((observed != 0).any(dim=1)).flatten()
    partner = torch.arange(len(observed), device=observed.device)
    partner[known] = known[torch.randperm(len(known)).to(known.device)]
    return partner


class BalPoE(Method):
    """Fine-tunes the image tower with several experts by logit-adjusted binary cross-entropy.

    Source: Sanchez Aimar et al., Balanced Product of Calibrated Experts for Long-Tailed Recognition, CVPR 2023, and its
    release; one sigmoid a class in place of the softmax.
    """

    class Config(ViewedConfig):
        """Options of BalPoE. Sources in brackets: "release", or "ours"."""

        targets: tuple[float, ...] = Field(
            (1.0, 0.0, -1.0), min_length=1, description="lambda of each expert [CIFAR-LT release: biases 0, 1, 2]"
        )
        scale: float = Field(30.0, gt=0, description="factor of the cosines [release]")
        mixup: float = Field(0.3, ge=0, description="alpha of mixup's Beta distribution; 0: none [ImageNet-LT release]")
        own_parts: tuple[str, ...] = Field(
            (), description="parts of the tower that each expert has for itself [release: last two stages; ours: none]"
        )

        @model_validator(mode="after")
        def _parted(self) -> BalPoE.Config:
            if self.tower == "frozen" and self.own_parts:
                raise ValueError("own_parts: experts learn no parts of a tower with tower=frozen")
            return self

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rates, decay and mixup."""
        return {
            "lr": Uniform(1e-4, 1e-3, log=True),
            "head_lr": Uniform(3e-4, 3e-2, log=True),
            "weight_decay": Uniform(1e-4, 1e-1, log=True),
            "mixup": Choice((0.0, 0.3)),
        }

    def needs(self) -> Needs:
        """Images, or features where the tower is frozen.

        The mean of adjusted experts is balanced on purpose, so its logits are no probabilities here.
        """
        return Needs(input=self.config.input, classes="fixed", images=self.config.images, calibrated=False)

    def stages(self, context: Context) -> Sequence[Stage]:
        """One gradient stage over tower and experts.

        Raises:
            UserError: ``own_parts`` names what the tower does not have, or what is frozen.
        """
        config = self.config
        module = Experts(context.backbone, adjustments(context.stats, config.targets), config)
        # Decay of a vector whose length does not count would only raise its learning rate.
        experts = ParamGroup(list(module.head.parameters()), config.head_lr, 0.0, config.course(), "experts")
        groups = [*config.tower_group(module.trained(), config.lr), experts]
        return [config.fine_tuning("fine-tune", module, context, groups=groups)]
