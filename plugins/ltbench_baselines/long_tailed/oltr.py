"""OLTR: image features joined by what a memory of class centroids recalls, and a classifier by cosine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

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
    Scan,
    SearchSpace,
    Stage,
    Uniform,
    ViewedConfig,
)
from ltbench.nn import LinearHead, ModulatedAttention, ShuffleSampler
from ltbench.plugin import UserError

#: Of ``torch.cdist``: its default.
_EITHER = "use_mm_for_euclid_dist_if_necessary"


class MetaEmbedding(nn.Module):
    """Logits of a feature v that is joined by memory: ``s w_c · u / (|w_c| (1 + |u|)) + b_c``.

    ``u = (r / d) (v + tanh(T_sel v) * o M)``: M are the centroids, ``o = softmax(T_hal v)`` says which to recall, T_sel
    how much of it each coordinate takes, d is the distance to the nearest centroid. The bias is ours: the paper has a
    softmax, which needs none.

    Args:
        dim: size of a feature D.
        prior: probability of a positive at the start of each class [C].
        scale: factor s of the cosine.
        reach: factor r of the inverse distance.
    """

    def __init__(self, dim: int, prior: Tensor, scale: float, reach: float) -> None:
        super().__init__()
        classes = len(prior)
        self.scale = scale
        self.reach = reach
        self.hallucinator = nn.Linear(dim, classes)
        self.selector = nn.Linear(dim, dim)
        self.weight = nn.Parameter(torch.empty(classes, dim).uniform_(-(dim**-0.5), dim**-0.5))
        self.bias = nn.Parameter(torch.logit(prior.float()))

    def forward(self, features: Tensor, centroids: Tensor) -> Tensor:
        """Logits [n, C] of features [n, D] and centroids [C, D]."""
        recalled = self.hallucinator(features).softmax(dim=1) @ centroids
        joined = features + torch.tanh(self.selector(features)) * recalled
        # torch's own choice between two ways goes by the number of rows, which a traced program must not hang on.
        way = "donot_use_mm_for_euclid_dist" if torch.compiler.is_compiling() else _EITHER
        nearest = torch.cdist(features, centroids, compute_mode=way).amin(dim=1, keepdim=True)
        joined = self.reach / nearest.clamp(min=1e-6) * joined
        squashed = joined / (1.0 + joined.norm(dim=1, keepdim=True))
        logits: Tensor = self.scale * squashed @ normalize(self.weight, dim=1).T + self.bias
        return logits


class CentroidLoss(nn.Module):
    """Draws features to the centroids of present classes and, up to a margin, away from those of absent ones.

    ``A + w max(0, m - R)``: A is the mean, over images with a present class, of half the mean squared distance to the
    centroids of their present classes; R is the mean squared distance over all absent labels. The released code has the
    one class of an image for the mean over present ones. Unknown labels are in neither mean.

    Args:
        margin: m.
        repel: w.
    """

    def __init__(self, margin: float, repel: float) -> None:
        super().__init__()
        self.margin = margin
        self.repel = repel

    def forward(self, features: Tensor, centroids: Tensor, labels: Tensor) -> Tensor:
        """Scalar of features [n, D], centroids [C, D] and labels [n, C] in {-1, 0, +1}; 0 without a known label."""
        squared = (features.unsqueeze(1) - centroids).square().sum(dim=2)
        present, absent = labels > 0, labels < 0
        shown = present.sum(dim=1)
        own = torch.where(present, squared, 0.0).sum(dim=1) / shown.clamp(min=1)
        attract = 0.5 * own.sum() / (shown > 0).sum().clamp(min=1)
        away = torch.where(absent, squared, 0.0).sum() / absent.sum().clamp(min=1)
        return attract + self.repel * relu(self.margin - away) * absent.any()


class MemoryModule(FineTuned):
    """Second stage: tower, centroids, meta-embedding. Starts from the head and the features of the first.

    Args:
        first: head of the first stage, whose weights the hallucinator starts from.
        embedding: gives the logits.
        pull: loss of features, centroids and labels.
        weight: its weight.
        config: for the treatment of the tower.
        attention: what is added to an image's global feature, from its places; None for nothing.
    """

    def __init__(
        self,
        backbone: Backbone,
        first: LinearHead,
        embedding: MetaEmbedding,
        pull: CentroidLoss,
        weight: float,
        config: ViewedConfig,
        attention: ModulatedAttention | None = None,
    ) -> None:
        super().__init__(
            backbone, embedding, BCELoss(), batch_norm=config.batch_norm, freeze=config.freeze, tower=config.tower
        )
        self.pull = pull
        self.weight = weight
        self.centroids = nn.Parameter(torch.zeros_like(embedding.weight))
        # A tuple: the head belongs to the first stage's state, not to this one's.
        self._first = (first,)
        self.attention = attention

    def features(self, batch: Batch) -> Tensor:
        """Features [n, D], with what attention adds to them."""
        if self.attention is None:
            return super().features(batch)
        if self.is_frozen:
            assert isinstance(batch.input, tuple), "the needs of the method ask for places where there is attention"
            pooled, places = (each.float() for each in batch.input)
        else:
            images = batch.features.contiguous(memory_format=torch.channels_last)
            pooled, places = self._backbone.encode_regions(images)
        added: Tensor = self.attention(places)
        return pooled + added

    @torch.no_grad()
    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Before the first epoch: centroids are the mean features of each class, the hallucinator is the first head.

        A class without an observed positive gets the mean feature of all rows.
        """
        if epoch > 0:
            return
        embedding = self.head
        assert isinstance(embedding, MetaEmbedding)
        embedding.hallucinator.load_state_dict(self._first[0].linear.state_dict())
        sums, everything = torch.zeros_like(self.centroids), torch.zeros_like(self.centroids[:1])
        counts, rows = sums.new_zeros(len(sums), 1), 0
        for batch in scan():
            features, present = self.features(batch), (batch.observed > 0).float()
            sums += present.T @ features
            counts += present.sum(dim=0).unsqueeze(1)
            everything += features.sum(dim=0)
            rows += len(features)
        self.centroids.copy_(torch.where(counts > 0, sums / counts.clamp(min=1), everything / rows))

    def _logits(self, features: Tensor) -> Tensor:
        # As in the released code, the centroids are moved by their own loss alone.
        logits: Tensor = self.head(features, self.centroids.detach())
        return logits

    def logits(self, batch: Batch) -> Tensor:
        """Logits float32 [n, C]."""
        return self._logits(self.features(batch))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Classification, and what shapes features and centroids."""
        features = self.features(batch)
        return {
            "loss_cls": self.criterion(self._logits(features), batch.observed),
            "loss_centroids": self.weight * self.pull(features, self.centroids, batch.observed),
        }


class OLTR(Method):
    """Learns image features, then a memory of class centroids that is recalled into them, and a cosine classifier.

    Source: Liu et al., Large-Scale Long-Tailed Recognition in an Open World, CVPR 2019, and the released code
    (zhmiao/OpenLongTailRecognition-OLTR). Both have one label an image and a softmax; for several labels binary
    cross-entropy takes its place. Modulated attention and open classes are left out.
    """

    class Config(ViewedConfig):
        """Options of ``oltr``. Sources in brackets, OLTR: its code; "ours" where that has no such option."""

        of_tower: ClassVar[frozenset[str]] = ViewedConfig.of_tower | {"memory_lr"}

        sampler: Literal["shuffle", "class-aware"] = Field(
            "class-aware", description="rows of the second stage; the first draws them evenly [OLTR]"
        )
        sampler_draws: int = Field(4, ge=1, description="rows a visit of a class; class-aware only [OLTR]")
        epochs: int = Field(8, ge=1, description="passes over the training rows, first stage [ours; OLTR: 30, 90]")
        memory_epochs: int = Field(4, ge=1, description="passes of the second stage [ours; OLTR: 30, 60]")
        memory_lr: float | None = Field(
            3e-5,
            gt=0,
            description="tower's rate, second stage; null: fixed [OLTR: a tenth of the head's, or fixed; ours]",
        )
        memory_head_lr: float = Field(1e-2, gt=0, description="rate of embedding and classifier, second stage [ours]")
        centroid_lr: float = Field(1e-2, gt=0, description="rate of the centroids [OLTR: 0.01, by SGD]")
        attention: Literal["none", "modulated"] = Field(
            "none", description="attention among the places of the last feature map, second stage [OLTR: modulated]"
        )
        scale: float = Field(16.0, gt=0, description="factor of the cosine [OLTR]")
        reach: float = Field(10.0, gt=0, description="factor of the inverse distance to the nearest centroid [OLTR]")
        centroid_weight: float = Field(0.01, ge=0, description="weight of the centroids' loss [OLTR]")
        margin: float = Field(10.0, ge=0, description="squared distance up to which centroids repel [OLTR]")
        repel: float = Field(0.01, ge=0, description="weight of repelling in the centroids' loss [OLTR]")

    config: Config

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Learning rates of both stages, decay, augmentation; the constants of the memory stay the published ones."""
        return {
            "lr": Uniform(1e-4, 1e-3, log=True),
            "head_lr": Uniform(1e-2, 1e-1, log=True),
            "memory_lr": Uniform(1e-5, 3e-4, log=True),
            "memory_head_lr": Uniform(3e-4, 3e-2, log=True),
            "weight_decay": Uniform(1e-4, 1e-1, log=True),
            "augment": Choice(("none", "flip")),
        }

    def needs(self) -> Needs:
        """Images, or features where the tower is frozen, with those of places for attention among them.

        Class-aware draws move the share of positives, so sigmoids of the logits are no probabilities.
        """
        config = self.config
        given = "region" if config.tower == "frozen" and config.attention == "modulated" else config.input
        return Needs(input=given, classes="fixed", images=config.images, calibrated=False)

    def stages(self, context: Context) -> Sequence[Stage]:
        """Features first, then the memory.

        Raises:
            UserError: attention is asked for, and the tower has no map of places of its features' size.
        """
        config, backbone = self.config, context.backbone
        dim, classes = backbone.card.dim, len(context.class_names)
        head = LinearHead(dim, classes)
        first = FineTuned(
            backbone, head, BCELoss(), batch_norm=config.batch_norm, freeze=config.freeze, tower=config.tower
        )
        second = MemoryModule(
            backbone,
            head,
            MetaEmbedding(dim, torch.from_numpy(np.asarray(context.stats.prior)), config.scale, config.reach),
            CentroidLoss(config.margin, config.repel),
            config.centroid_weight,
            config,
            attention_for(backbone) if config.attention == "modulated" else None,
        )
        course, decay = config.course(), config.weight_decay
        groups = [
            ParamGroup(list(second.head.parameters()), config.memory_head_lr, decay, course, "memory"),
            ParamGroup([second.centroids], config.centroid_lr, decay, course, "centroids"),
        ]
        if second.attention is not None:
            # Learned even where the tower is fixed, at the rate that the release gives the tower.
            learned = list(second.attention.parameters())
            groups.append(ParamGroup(learned, config.memory_head_lr / 10, decay, course, "attention"))
        if config.memory_lr is not None:
            groups += config.tower_group(second.trained(), config.memory_lr)
        return [
            config.fine_tuning("features", first, context, sampler=ShuffleSampler(context.stats.rows)),
            config.fine_tuning("memory", second, context, groups=groups, epochs=config.memory_epochs),
        ]


def attention_for(backbone: Backbone) -> ModulatedAttention:
    """Attention among the places that an encoder's image tower has at the size of its input.

    Raises:
        UserError: it has none, or vectors of another size than its global feature.
    """
    side, tower = backbone.card.image_size or 224, backbone.visual
    if tower is None:
        raise UserError(
            f"attention: backbone {backbone.card.name} has no image tower to ask for its places", "-o attention=none"
        )
    try:
        with torch.no_grad():
            places = backbone.encode_regions(torch.zeros(1, 3, side, side, device=next(tower.parameters()).device))[1]
    except TypeError:
        places = torch.zeros(1, 0, 0)
    if places.shape[2] != backbone.card.dim:
        raise UserError(
            f"attention: backbone {backbone.card.name} has no map of places of its feature's size", "-o attention=none"
        )
    return ModulatedAttention(places.shape[2], places.shape[1])
