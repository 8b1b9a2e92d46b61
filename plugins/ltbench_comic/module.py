"""The three models of COMIC on the features of one frozen tower or of a tower each, and what they are trained by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, normalize

from ltbench.losses import MultiFocalLoss
from ltbench.method import Batch, FineTuned, Scan
from ltbench.nn import AdditiveAttention, MovingVector, MultiHeadCosine
from ltbench_comic.balancer import HeadTailBalancer
from ltbench_comic.corrector import ReflectiveLabelCorrector

HEAD, TAIL, BALANCED = "head", "tail", "balanced"


class FeatureLayer(nn.Linear):
    """Features ``f = log softmax(W x + b)`` of a tower's features x."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Features [n, width] of the tower's [n, dim], in the precision of the weights."""
        return log_softmax(super().forward(inputs.to(self.weight.dtype)), dim=1)


class LinearClassifier(nn.Linear):
    """Logits ``W f + b``, as a normalised classifier is without its norms (NC of COMIC's Table 6)."""

    def effect(self, features: Tensor, direction: Tensor) -> Tensor:
        """Part [n, C] that a direction e [dim] has in logits of features [n, dim]: ``(f . e) (W e)`` with |e| = 1."""
        along = normalize(direction.detach().to(features.dtype), dim=-1)
        part: Tensor = (features @ along)[:, None] * (self.weight @ along)
        return part


class AssumedAbsent(nn.Module):
    """Another loss in the place of the multi-focal one, unknown labels counted as absent as in that.

    Args:
        criterion: a sum over images and classes, of logits and labels [n, C].
        class_counts: int64 [C].
    """

    class_counts: Tensor

    def __init__(self, criterion: nn.Module, class_counts: Tensor) -> None:
        super().__init__()
        self.criterion = criterion
        self.register_buffer("class_counts", class_counts)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of logits [n, C] against labels [n, C] in {-1, 0, +1}."""
        loss: Tensor = self.criterion(logits, torch.where(labels > 0, 1, -1))
        return loss


class StreamModel(nn.Module):
    """One model: features ``f = log softmax(W x + b)``, a classifier on them, a moving vector, a corrector.

    Args:
        dim: size of the tower's feature x.
        classifier: on features f.
        momentum: of the moving vector.
        effect: times the moving vector's part in the logits is added to them: -1 for the head, +2 for the tail model.
        corrector: None for none.
    """

    def __init__(
        self,
        dim: int,
        classifier: MultiHeadCosine | LinearClassifier,
        momentum: float,
        effect: float,
        corrector: ReflectiveLabelCorrector | None,
    ) -> None:
        super().__init__()
        width = classifier.weight.shape[1]
        self.linear = FeatureLayer(dim, width)
        self.classifier = classifier
        self.moving = MovingVector(width, momentum)
        self.corrector = corrector
        self.effect = effect

    def features(self, inputs: Tensor) -> Tensor:
        """Features [n, width] of the tower's [n, dim]; in training mode the moving vector takes them in first."""
        found: Tensor = self.linear(inputs)
        if self.training:
            self.moving.update(found)
        return found

    def moved(self, features: Tensor, plain: Tensor) -> Tensor:
        """Logits [n, C] with the moving vector's part taken off or added."""
        if self.effect == 0:
            return plain
        return plain + self.effect * self.classifier.effect(features, self.moving.value)


@dataclass(frozen=True)
class Outputs:
    """Logits [n, C] by model: as they are, and with the moving vector."""

    plain: Mapping[str, Tensor]
    moved: Mapping[str, Tensor]


@dataclass(frozen=True)
class Weights:
    """Weights of the objective's parts.

    Attributes:
        correction: of each model's corrector.
        balance: of the balancer.
        common: of the mean of the models' multi-focal losses.
        attention: of the attention's result in the balanced model's features.
    """

    correction: float = 0.2
    balance: float = 1.0
    common: float = 0.0
    attention: float = 0.1


class ComicModule(nn.Module):
    """Head, tail and balanced model side by side; the last of `models` predicts.

    The models see the same rows, so a frozen tower runs once for all of them; a tower that a model trains is its own.

    Args:
        models: by name, in the order head, tail, balanced; a model alone has neither attention nor balancer.
        criterion: the multi-focal loss, or another in its place; a sum.
        balancer: None for none.
        attention: of the balanced model's features over those of head and tail; None for none.
        weights: see :class:`Weights`.
        rows: training rows N.
        towers: by name as models, what each takes its features from; none where batches carry features.
    """

    corrected: Tensor

    def __init__(
        self,
        models: Mapping[str, StreamModel],
        criterion: MultiFocalLoss | AssumedAbsent,
        balancer: HeadTailBalancer | None,
        attention: AdditiveAttention | None,
        weights: Weights,
        rows: int,
        towers: Mapping[str, FineTuned] | None = None,
    ) -> None:
        super().__init__()
        self.models = nn.ModuleDict(models)
        self.towers = nn.ModuleDict(towers or {})
        self.predicting = list(models)[-1]
        self.criterion = criterion
        self.balancer = balancer
        self.attention = attention
        self.weights = weights
        classes = criterion.class_counts.numel()
        # What the predicting model's corrector found in this epoch; the batch's own labels are never written to.
        self.register_buffer("corrected", torch.zeros(rows, classes, dtype=torch.bool))

    def stream(self, name: str) -> StreamModel:
        """The model of that name."""
        model = self.models[name]
        assert isinstance(model, StreamModel)
        return model

    def tower(self, name: str) -> FineTuned | None:
        """The tower that the model of that name trains; None where batches carry features."""
        if name not in self.towers:
            return None
        tower = self.towers[name]
        assert isinstance(tower, FineTuned)
        return tower

    def inputs(self, batch: Batch) -> dict[str, Tensor]:
        """Features of a tower [n, dim] by model: those of the batch, or what each model's tower makes of its images."""
        towers = {name: self.tower(name) for name in self.models}
        return {name: batch.features if tower is None else tower.features(batch) for name, tower in towers.items()}

    def outputs(self, inputs: Mapping[str, Tensor]) -> Outputs:
        """Logits of all models.

        Args:
            inputs: features of the tower [n, dim] by model; with one frozen tower all models get the same.
        """
        found = {name: self.stream(name).features(inputs[name]) for name in self.models}
        features = self.fused(found)
        plain = {name: self.stream(name).classifier(found) for name, found in features.items()}
        moved = {name: self.stream(name).moved(found, plain[name]) for name, found in features.items()}
        return Outputs(plain, moved)

    def fused(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same features [n, width] by model, the balanced ones with what attention takes from head and tail."""
        found = dict(features)
        if self.attention is not None:
            mixed = self.attention(found[BALANCED], torch.stack([found[HEAD], found[TAIL]], dim=1))
            found[BALANCED] = found[BALANCED] + self.weights.attention * mixed
        return found

    def objective(self, outputs: Outputs, labels: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor | None]:
        """Weighted terms ``loss_mfm_<model>``, ``loss_rlc_<model>``, ``loss_htb`` and ``loss_common``.

        Args:
            labels: [n, C] in {-1, 0, +1} by model; in training all models get the same.

        Returns:
            The terms, and what the predicting model's corrector found, bool [n, C]; None without corrector.
        """
        focal = {name: self.criterion(outputs.plain[name], labels[name]) for name in self.models}
        terms = {f"loss_mfm_{name}": value for name, value in focal.items()}
        found = None
        for name in self.models:
            corrector = self.stream(name).corrector
            if corrector is not None:
                correction = corrector(outputs.moved[name], labels[name])
                terms[f"loss_rlc_{name}"] = self.weights.correction * correction.loss
                found = correction.found
        if self.balancer is not None:
            value = self.balancer(outputs.moved[HEAD], outputs.moved[TAIL], outputs.plain[BALANCED], labels[BALANCED])
            terms["loss_htb"] = self.weights.balance * value
        if self.weights.common:
            terms["loss_common"] = self.weights.common * torch.stack(list(focal.values())).mean()
        return terms, found

    def on_epoch_start(self, epoch: int, scan: Scan) -> None:
        """Counts of the correctors and corrected labels start anew."""
        self.corrected.zero_()
        for name in self.models:
            corrector = self.stream(name).corrector
            if corrector is not None:
                corrector.start(epoch + 1)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of :meth:`objective` with the same rows and labels for all models."""
        labels = dict.fromkeys(self.models, batch.observed)
        terms, found = self.objective(self.outputs(self.inputs(batch)), labels)
        if found is not None and self.training:
            self.corrected[batch.rows] = found
        return terms

    def logits(self, batch: Batch) -> Tensor:
        """Logits [n, C] of the predicting model, without the moving vector."""
        return self.outputs(self.inputs(batch)).plain[self.predicting]

    def decisions(self) -> list[tuple[int, int]]:
        """Labels (row, class) that counted as present in this epoch without having been given."""
        return [(row, column) for row, column in self.corrected.nonzero().tolist()]
