"""Toy methods that each break exactly one rule, to show that the kit sees it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from engine import toys
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from ltbench.data.base import DataRoot
from ltbench.method import Batch, Choice, Context, FitData, FitStage, GradientStage, Needs, ParamGroup, Stage, Stats
from ltbench.tasks.registry import load_task, open_data_set


def parts_of(context: Context) -> tuple[int, int]:
    return context.backbone.card.dim, len(context.class_names)


class StraySearchSpace(toys.Plain):
    @classmethod
    def search_space(cls) -> Mapping[str, Choice]:
        return {"rate": Choice((1, 2))}


class _NotFinite(toys.Head):
    def logits(self, batch: Batch) -> Tensor:
        answer = super().logits(batch)
        return answer if self.training else answer / 0


class InfiniteLogits(toys.Plain):
    """Trains well and predicts infinities."""

    def module(self, context: Context) -> nn.Module:
        return _NotFinite(*parts_of(context))


class _Hidden(toys.Head):
    def __init__(self, dim: int, classes: int) -> None:
        super().__init__(dim, classes)
        self.hidden = [nn.Linear(classes, classes)]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        logits = self.logits(batch)
        return {"loss": toys.known_bce(logits + 0.01 * self.hidden[0](logits.detach()), batch.observed)}


class HiddenParameters(toys.Plain):
    """A layer in a list: no parameter of the module, in no group, and reached by the loss."""

    def module(self, context: Context) -> nn.Module:
        return _Hidden(*parts_of(context))


class UselessGroup(toys.Plain):
    """Declares a parameter that the loss never reaches."""

    def stages(self, context: Context) -> Sequence[Stage]:
        module = self.module(context)
        module.spare = nn.Parameter(torch.zeros(3))
        groups = [ParamGroup(list(module.linear.parameters()), 0.1), ParamGroup([module.spare], 0.1, name="spare")]
        return [GradientStage("train", module, groups, epochs=3, batch_size=8)]


class _TouchesTower(toys.Head):
    def __init__(self, dim: int, classes: int, tower: nn.Module) -> None:
        super().__init__(dim, classes)
        self.tower = [tower]

    def on_fit_start(self, stats: Any) -> None:
        with torch.no_grad():
            next(self.tower[0].parameters()).fill_(0.5)


class ChangesEncoder(toys.Plain):
    """Writes into the frozen encoder."""

    def module(self, context: Context) -> nn.Module:
        return _TouchesTower(*parts_of(context), context.backbone.visual)


class _Dice(toys.Head):
    def __init__(self, dim: int, classes: int) -> None:
        super().__init__(dim, classes)
        self.register_buffer("offset", torch.zeros(()))

    def on_fit_start(self, stats: Any) -> None:
        # Below 0: logits that all lie between 0 and 1 would be taken for probabilities by another check.
        self.offset.fill_(-int.from_bytes(os.urandom(2), "big") / 65536)

    def logits(self, batch: Batch) -> Tensor:
        return super().logits(batch) + self.offset


class OwnDice(toys.Plain):
    """Draws from a source that the run's seed does not reach; what it drew is in its state."""

    def module(self, context: Context) -> nn.Module:
        return _Dice(*parts_of(context))


class _Counting(toys.Head):
    def __init__(self, dim: int, classes: int) -> None:
        super().__init__(dim, classes)
        self.steps = 0

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        self.steps += 1
        return {"loss": toys.known_bce(self.logits(batch), batch.observed) / self.steps}


class ForgetsOnResume(toys.Plain):
    """Counts its steps outside of its state."""

    def module(self, context: Context) -> nn.Module:
        return _Counting(*parts_of(context))


class ReadsLabels(toys.Plain):
    """Opens the data set by itself and keeps the test labels."""

    def stages(self, context: Context) -> Sequence[Stage]:
        task = load_task("shapes-micro")
        self.cheat = open_data_set(task, DataRoot()).part(task.test_part).read_labels()
        return super().stages(context)


class UndeclaredGroups(toys.Plain):
    """Looks at label groups that it did not ask for."""

    def stages(self, context: Context) -> Sequence[Stage]:
        assert len(context.label_groups) >= 0
        return super().stages(context)


class UndeclaredValidation(toys.Plain):
    """Looks at validation rows that it did not ask for."""

    def stages(self, context: Context) -> Sequence[Stage]:
        next(iter(context.validation.scan()))  # type: ignore[union-attr]
        return super().stages(context)


class _Captions(toys.Head):
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        assert max(len(caption) for caption in batch.captions) > 0  # type: ignore[union-attr]
        return super().loss(batch)


class UndeclaredCaptions(toys.Plain):
    """Reads captions that it did not ask for."""

    def module(self, context: Context) -> nn.Module:
        return _Captions(*parts_of(context))


class DeclaredGroups(UndeclaredGroups):
    """The same, and asks for them."""

    def needs(self) -> Needs:
        return Needs(groups=True)


class _ReadsZerosAsAbsent(toys.Head):
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": binary_cross_entropy_with_logits(self.logits(batch), (batch.observed > 0).float())}


class ReadsZerosAsAbsent(toys.Plain):
    """Says that it ignores unknown labels, and takes them for absent ones."""

    def needs(self) -> Needs:
        return Needs(unknown="ignore")

    def module(self, context: Context) -> nn.Module:
        return _ReadsZerosAsAbsent(*parts_of(context))


class _Inline(toys.Head):
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        answer = self.linear(toys.features(batch))
        return {"loss": binary_cross_entropy_with_logits(answer, (batch.observed > 0).float())}


class ReadsZerosInline(ReadsZerosAsAbsent):
    """The same, with a loss that does not call ``logits``."""

    def module(self, context: Context) -> nn.Module:
        return _Inline(*parts_of(context))


class _ExtraState(toys.Head):
    def get_extra_state(self) -> dict[str, str]:
        return {"note": "a dictionary"}

    def set_extra_state(self, state: Any) -> None:
        return


class ObjectsInState(toys.Plain):
    """Puts an object that is no tensor into ``state_dict``."""

    def module(self, context: Context) -> nn.Module:
        return _ExtraState(*parts_of(context))


class _Sixes(toys.Head):
    def __init__(self, dim: int) -> None:
        super().__init__(dim, 6)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": toys.known_bce(self.logits(batch)[:, : batch.observed.shape[1]], batch.observed)}


class SixClasses(toys.Plain):
    """Has six outputs whatever it is asked."""

    def module(self, context: Context) -> nn.Module:
        return _Sixes(context.backbone.card.dim)


class NoLossTerm(toys.Plain):
    """Its loss has no term to minimise."""

    def module(self, context: Context) -> nn.Module:
        module = toys.Head(*parts_of(context))
        module.loss = lambda batch: {"objective": toys.known_bce(module.logits(batch), batch.observed)}
        return module


class SeededNearest(toys.Nearest):
    """Says that its seed changes nothing, and draws from it."""

    def stages(self, context: Context) -> Sequence[Stage]:
        (stage,) = super().stages(context)

        def fit(data: FitData) -> None:
            stage.module.fit(data)
            stage.module.values += torch.randn(())

        return [FitStage("remember", stage.module, fit)]


class _Scaled(toys.Head):
    def __init__(self, dim: int, classes: int) -> None:
        super().__init__(dim, classes)
        self.scale = nn.Parameter(torch.ones(classes))

    def logits(self, batch: Batch) -> Tensor:
        return super().logits(batch) * self.scale


class ForgottenParameter(toys.Plain):
    """Scales that the loss reaches and no group declares: they stay what they were."""

    def stages(self, context: Context) -> Sequence[Stage]:
        module = _Scaled(*parts_of(context))
        group = ParamGroup(list(module.linear.parameters()), 0.1)
        return [GradientStage("train", module, [group], epochs=3, batch_size=8)]


class UselessParameter(toys.Plain):
    """One parameter of a group that is otherwise trained; nothing uses it."""

    def stages(self, context: Context) -> Sequence[Stage]:
        module = self.module(context)
        module.spare = nn.Parameter(torch.zeros(3))
        return [GradientStage("train", module, [ParamGroup(list(module.parameters()), 0.1)], epochs=3, batch_size=8)]


class _Probabilities(toys.Head):
    def logits(self, batch: Batch) -> Tensor:
        return super().logits(batch).sigmoid()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": toys.known_bce(self.logits(batch).logit(), batch.observed)}


class ProbabilitiesAsLogits(toys.Plain):
    """Gives probabilities and says that they are logits."""

    def module(self, context: Context) -> nn.Module:
        return _Probabilities(*parts_of(context))


class _MinusOne(toys.Head):
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": binary_cross_entropy_with_logits(self.logits(batch), batch.observed.float())}


class LabelsAsTargets(toys.Plain):
    """Feeds -1 to a cross entropy."""

    def needs(self) -> Needs:
        return Needs(unknown="own")

    def module(self, context: Context) -> nn.Module:
        return _MinusOne(*parts_of(context))


class _ByHand(toys.Head):
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        score, target = self.logits(batch), batch.observed.float()
        return {"loss": -(target * logsigmoid(score) + (1 - target) * logsigmoid(-score)).mean()}


class LabelsAsTargetsByHand(LabelsAsTargets):
    """The same in a cross entropy that is written out."""

    def module(self, context: Context) -> nn.Module:
        return _ByHand(*parts_of(context))


class _Sleeps(toys.Head):
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        time.sleep(3600)
        raise AssertionError


class Hangs(toys.Plain):
    """Never comes back from its first step."""

    def module(self, context: Context) -> nn.Module:
        return _Sleeps(*parts_of(context))


class _Raises(toys.Head):
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": self.logits(batch).nothing}


class Raises(toys.Plain):
    """Has a slip in its loss."""

    def module(self, context: Context) -> nn.Module:
        return _Raises(*parts_of(context))


class _Stored(nn.Module):
    """Nearest neighbours whose store is made when the fit starts."""

    def __init__(self, dim: int, classes: int, prepared: bool) -> None:
        super().__init__()
        self.dim, self.classes, self.prepared = dim, classes, prepared
        self.register_buffer("store", torch.zeros(0, dim))
        self.register_buffer("labels", torch.zeros(0, classes))

    def on_fit_start(self, stats: Stats) -> None:
        if self.prepared:
            self.store = torch.zeros(stats.rows, self.dim)
            self.labels = torch.zeros(stats.rows, self.classes)

    def fit(self, data: FitData) -> None:
        self.store, labels = data.gather()
        self.labels = (labels > 0).float()

    def logits(self, batch: Batch) -> Tensor:
        return torch.log_softmax(batch.input @ self.store.T, dim=1) @ self.labels


class StoredNeighbours(toys.Plain):
    """Makes room for its store in ``on_fit_start``."""

    prepared = True

    def needs(self) -> Needs:
        return Needs(calibrated=False)

    def stages(self, context: Context) -> Sequence[Stage]:
        module = _Stored(*parts_of(context), self.prepared)
        return [FitStage("store", module, module.fit)]


class ForgottenStore(StoredNeighbours):
    """The same without room for what is loaded."""

    prepared = False
