"""Which view of a row training shows follows from seed, stage, epoch and row: from no batch, worker or rank."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from engine import toys
from engine.harness import make_world, run
from ltbench.data.base import Images
from ltbench.engine.encode import Encoder
from ltbench.engine.inputs import FeatureInputs, ImageInputs, Inputs, Rowset
from ltbench.engine.order import Draw, EpochOrder, Rows, repetitions
from ltbench.engine.seeds import Views, seed_for
from ltbench.method import Augment, Batch, GradientStage, ParamGroup
from ltbench.nn import ShuffleSampler, StreamSampler
from ltbench.nn.augment import DistortedCrop, FixedViews

ROWS = 30
KEY = seed_for(0, "views", "train", 0)


class Pictures(Images):
    """Noise, a different one for each row."""

    def __len__(self) -> int:
        return ROWS

    def load(self, index: int) -> Image.Image:
        noise = np.random.default_rng(index).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        return Image.fromarray(noise)

    def sha256(self, index: int) -> str:
        return f"{index:064x}"


class AsTensor:
    """A backbone as far as images go."""

    least_side = None

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        return torch.from_numpy(np.array(image.resize((16, 12)), dtype=np.float32)).permute(2, 0, 1)


def crop(image: Any, rng: np.random.Generator) -> Any:
    return DistortedCrop(12)(image, rng)


def kinds() -> dict[str, Inputs]:
    views = np.random.default_rng(0).normal(size=(ROWS, 6, 4)).astype(np.float32)
    backbone: Any = AsTensor()
    encoder: Any = object.__new__(Encoder)
    object.__setattr__(encoder, "backbone", backbone)
    return {
        "cached flip": FeatureInputs(views[:, :2]),
        "cached views": FeatureInputs(views, first=1),
        "cached regions": FeatureInputs(views, np.stack([views, -views], axis=2), first=1),
        "live flip": encoder._images(Pictures(), Augment("flip")),
        "live crops": ImageInputs(Pictures(), backbone, crop),
        "fixed crops": ImageInputs(Pictures(), backbone, FixedViews(DistortedCrop(12), 3)),
    }


def rowset(inputs: Inputs) -> Rowset:
    return Rowset(inputs, torch.zeros((ROWS, 2), dtype=torch.int8))


def shown(rows: Rows, order: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.float32]:
    turns = repetitions(order)
    cuts = [slice(start, start + size) for start in range(0, len(order), size)]
    parts = [rows[Draw(order[cut], turns[cut], KEY)] for cut in cuts]
    return torch.cat([torch.cat([t.flatten(1) for t in _tensors(part)], dim=1) for part in parts]).numpy()


def _tensors(batch: Batch) -> tuple[torch.Tensor, ...]:
    return batch.input if isinstance(batch.input, tuple) else (batch.input,)


@pytest.mark.parametrize("kind", list(kinds()))
def test_a_row_shows_the_same_view_in_any_batch_and_any_order(kind: str) -> None:
    rows = Rows(rowset(kinds()[kind]))
    order = np.random.default_rng(1).permutation(ROWS)
    whole = shown(rows, order, ROWS)
    for size in (1, 4, 7):
        np.testing.assert_array_equal(shown(rows, order, size), whole)
    straight = shown(rows, np.arange(ROWS), 5)
    np.testing.assert_array_equal(straight[order], whole)
    # Two ranks that take every other row.
    for rank in range(2):
        part = order[rank::2]
        np.testing.assert_array_equal(shown(rows, part, 4), whole[rank::2])


@pytest.mark.parametrize("kind", ["cached views", "live crops"])
def test_another_epoch_stage_or_seed_shows_other_views(kind: str) -> None:
    inputs = kinds()[kind]
    keys = [(0, "train", 0), (0, "train", 1), (0, "tune", 0), (1, "train", 0)]
    all_rows = np.arange(ROWS)
    found = []
    for seed, stage, epoch in keys:
        got = inputs.get(all_rows, Views.of(seed_for(seed, "views", stage, epoch), all_rows, 0 * all_rows))
        assert isinstance(got, torch.Tensor)
        found.append(got)
    for number, one in enumerate(found):
        for other in found[:number]:
            assert (one != other).flatten(1).any(dim=1).float().mean() > 0.5


def test_views_are_drawn_evenly_and_independently_of_the_row_before() -> None:
    rows = np.arange(20_000)
    drawn = Views.of(KEY, rows, 0 * rows).integers(1, 6)
    counts = np.bincount(drawn)[1:]
    assert drawn.min() == 1
    assert drawn.max() == 5
    # Four standard deviations of a binomial with p = 1/5, and of the share of equal neighbours.
    assert np.abs(counts - 4000).max() < 4 * np.sqrt(20_000 * 0.16)
    assert abs((drawn[1:] == drawn[:-1]).mean() - 0.2) < 4 * np.sqrt(0.16 / 20_000)
    again = Views.of(KEY, rows, 0 * rows + 1).integers(1, 6)
    assert abs((drawn == again).mean() - 0.2) < 4 * np.sqrt(0.16 / 20_000)


def test_a_row_that_comes_again_in_an_epoch_shows_another_view() -> None:
    np.testing.assert_array_equal(repetitions(np.array([3, 1, 3, 3, 1, 0])), [0, 0, 1, 2, 1, 0])
    assert repetitions(np.array([], dtype=np.int64)).tolist() == []
    rows = Rows(rowset(kinds()["live crops"]))
    twice = shown(rows, np.repeat(np.arange(ROWS), 2), 8)
    assert (twice[::2] != twice[1::2]).any(axis=1).mean() > 0.9


def batches(stage: GradientStage, inputs: Inputs, workers: int) -> Iterator[Batch]:
    order = EpochOrder(stage, ROWS, seed=3)
    order.start(1, np.random.default_rng(5))
    yield from DataLoader(Rows(rowset(inputs)), batch_size=None, sampler=order, num_workers=workers)


def test_workers_change_nothing() -> None:
    module = torch.nn.Linear(4, 2)
    sampler = StreamSampler([ShuffleSampler(ROWS), ShuffleSampler(ROWS)], ROWS)
    stage = GradientStage("train", module, [ParamGroup([*module.parameters()], 0.1)], 2, 8, sampler=sampler)
    for kind in ("cached views", "live crops"):
        alone, helped = (list(batches(stage, kinds()[kind], workers)) for workers in (0, 2))
        assert len(alone) == len(helped) == 8
        for one, other in zip(alone, helped, strict=True):
            assert torch.equal(one.rows, other.rows)
            assert torch.equal(one.features, other.features)


class Remembering(toys.Head):
    """A head that notes which input each row was shown in each epoch."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.seen: list[dict[int, list[float]]] = []

    def on_epoch_start(self, epoch: int, scan: Any) -> None:
        self.seen.append({})

    def loss(self, batch: Batch) -> dict[str, torch.Tensor]:
        for row, value in zip(batch.rows.tolist(), batch.features.tolist(), strict=True):
            self.seen[-1][row] = value
        return super().loss(batch)


class Flipped(toys.Plain):
    """Learns from two views an image, in batches of a size of its own."""

    def stages(self, context: toys.Context) -> list[toys.Stage]:
        self.head = Remembering(16, len(context.class_names))
        return [replace(self.stage(context, self.head), augment=Augment("flip"), epochs=4)]


def test_a_whole_run_shows_rows_alike_whatever_the_batch_size(tmp_path: Path) -> None:
    heads = []
    for size in (5, 16):
        method = Flipped(Flipped.Config(batch_size=size))
        run(method, make_world(), tmp_path / str(size), seed=2)
        heads.append(method.head)
    assert heads[0].seen == heads[1].seen
    first, second = heads[0].seen[:2]
    assert first != second


@pytest.mark.parametrize("kind", ["cached views", "cached regions", "live crops"])
def test_further_views_are_drawn_for_themselves_and_for_the_row_alone(kind: str) -> None:
    first, again, plain = kinds()[kind], kinds()[kind], kinds()["cached flip"]
    three = Rowset(first, torch.zeros((ROWS, 2), dtype=torch.int8), further=(again, plain))
    order = np.random.default_rng(1).permutation(ROWS)
    draws = [Draw(order[cut], 0 * order[cut], KEY) for cut in (slice(0, 7), slice(7, ROWS))]
    cut = list(Rows(three).batches(draws))
    (whole,) = Rows(three).batches([Draw(order, 0 * order, KEY)])
    alone = Rows(rowset(first))[Draw(order, 0 * order, KEY)]
    for kept, one in zip(_tensors(whole), _tensors(alone), strict=True):
        assert torch.equal(kept, one), "the first view is what it is without further ones"
    for number in range(2):
        for at, tensor in enumerate(_tensors(whole.view(number))):
            assert torch.equal(tensor, torch.cat([_tensors(part.view(number))[at] for part in cut]))
    same = (whole.features == whole.view(0).features).flatten(1).all(dim=1).float().mean()
    assert same < 0.6, "two views of one kind are drawn apart"
    (scanned,) = three.scan(ROWS, torch.device("cpu"))
    assert len(scanned.further) == 2
    assert all(torch.equal(scanned.view(number).features, scanned.features) for number in range(2))


class Pulled(toys.Head):
    """A head that is also trained on the further view of each row."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.shown: list[tuple[bool, ...]] = []

    def loss(self, batch: Batch) -> dict[str, torch.Tensor]:
        assert len(batch.further) == 1
        self.shown.append(tuple((batch.features == batch.view(0).features).all(dim=1).tolist()))
        return super().loss(batch) | {"loss_beside": super().loss(batch.view(0))["loss"]}


class Twice(toys.Plain):
    """Learns from two views of an image in one step."""

    def stages(self, context: toys.Context) -> list[toys.Stage]:
        self.head = Pulled(16, len(context.class_names))
        return [replace(self.stage(context, self.head), augment=Augment("flip"), further=(Augment("flip"),), epochs=2)]


def test_a_stage_that_asks_for_a_further_view_is_shown_one(tmp_path: Path) -> None:
    method = Twice(Twice.Config(batch_size=8))
    run(method, make_world(), tmp_path, seed=2)
    together = [alike for batch in method.head.shown for alike in batch]
    assert 0.2 < np.mean(together) < 0.8
