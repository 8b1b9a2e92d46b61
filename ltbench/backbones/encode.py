"""Running an image tower over the rows that the cache lacks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ltbench.backbones.base import Backbone
from ltbench.backbones.features import Float32
from ltbench.backbones.shards import ShardFolder
from ltbench.backbones.views import View
from ltbench.data.base import Images, content_of, load_reduced
from ltbench.data.progress import Reporter
from ltbench.plugin.errors import UserError

Kind = Literal["global", "region"]

_SHARD_BYTES = 32 * 2**20
_SHARD_ROWS = 1024


@dataclass(frozen=True)
class Job:
    """One row to encode: ``row`` of the images under a view, stored under ``key``."""

    key: str
    row: int
    view: View


def jobs_of(images: Images, row: int, views: Sequence[View], least: int | None) -> list[Job]:
    """One image under some views, each named by what of the image it is made of.

    Args:
        least: of the backbone, see :attr:`Backbone.least_side`; views that take a part of the image get it whole.
    """
    wholes = {view.whole for view in views}
    content = {whole: content_of(images, row, least if whole else None) for whole in wholes}
    return [Job(f"{content[view.whole]}:{view.id}", row, view) for view in views]


class Encoder:
    """Runs an image tower over jobs."""

    def __init__(
        self, backbone: Backbone, kind: Kind, device: str | torch.device | None, batch_size: int, workers: int
    ) -> None:
        if backbone.visual is None:
            raise TypeError(f"backbone {backbone.card.name} has no image tower")
        self.backbone = backbone
        self.visual = backbone.visual
        self.kind = kind
        self.batch_size = batch_size
        self.workers = max(1, workers)
        if device is not None:
            self.visual.to(device)
        self.device = next(self.visual.parameters()).device

    @cached_property
    def _quick(self) -> Backbone:
        """What encodes; made when the first image comes, since most processes find all in the cache."""
        return self.backbone.for_encoding()

    def width(self, places: int) -> int:
        """Numbers a row: global feature, then ``places`` region features."""
        return self.backbone.card.dim + places * (self.backbone.card.region_dim or 0)

    def regions(self) -> int:
        """Regions an image, found by encoding a blank one."""
        side = self.backbone.card.image_size or 224
        with self._frozen():
            _, regions = self._quick.encode_regions(torch.zeros(1, 3, side, side, device=self.device))
        return int(regions.shape[1])

    def encode(
        self,
        jobs: Sequence[Job],
        images: Images,
        ids: Sequence[str],
        folder: ShardFolder,
        reporter: Reporter,
        label: str = "",
    ) -> None:
        """Encode jobs in batches and append them, a shard at a time, so that a killed process loses one shard."""
        keys: list[str] = []
        rows: list[Float32] = []
        # On a GPU the next batch is sent off before the features of one are fetched, which waits for them.
        under_way: deque[tuple[Sequence[Job], Tensor]] = deque()
        lag = 1 if self.device.type == "cuda" else 0
        label = label or f"encoding with {self.backbone.card.name}"
        with reporter.task(label, len(jobs)) as advance, self._frozen():

            def fetch() -> None:
                batch, found = under_way.popleft()
                encoded: Float32 = found.cpu().numpy()
                self._check_finite(encoded, [ids[job.row] for job in batch])
                keys.extend(job.key for job in batch)
                rows.append(encoded)
                advance(len(batch))
                if len(keys) >= _SHARD_ROWS or len(keys) * encoded.shape[1] * 4 >= _SHARD_BYTES:
                    flush()

            def flush() -> None:
                folder.append(list(keys), np.concatenate(rows))
                keys.clear()
                rows.clear()

            try:
                for batch, pixels in self._batches(jobs, images, ids):
                    under_way.append((batch, self._encode_batch(self._sent(pixels))))
                    if len(under_way) > lag:
                        fetch()
                while under_way:
                    fetch()
            finally:
                # Also after a corrupt image or an interrupt: what was encoded need not be encoded again.
                if keys:
                    flush()

    def _sent(self, pixels: Tensor) -> Tensor:
        if self.device.type != "cuda":
            return pixels.to(self.device)
        return pixels.pin_memory().to(self.device, non_blocking=True)

    def _check_finite(self, encoded: Float32, ids: Sequence[str]) -> None:
        bad = np.flatnonzero(~np.isfinite(encoded).all(axis=1))
        if len(bad):
            raise UserError(
                f"backbone {self.backbone.card.name} gives features of {ids[bad[0]]} that are not finite",
                "another dtype or other weights",
            )

    def _encode_batch(self, pixels: Tensor) -> Tensor:
        if self.kind == "global":
            found = self._quick.encode_global(pixels)
        else:
            pooled, regions = self._quick.encode_regions(pixels)
            found = torch.cat([pooled, regions.flatten(1)], dim=1)
        return found.float()

    def _batches(
        self, jobs: Sequence[Job], images: Images, ids: Sequence[str]
    ) -> Iterator[tuple[Sequence[Job], Tensor]]:
        """Decoded batches in order; the next ones are decoded while one is encoded."""

        least = self.backbone.least_side

        def decode(job: Job) -> Tensor:
            try:
                image = load_reduced(images, job.row, least if job.view.whole else None)
                return self.backbone.preprocess(job.view.apply(image, job.key.partition(":")[0]))
            except UserError:
                raise
            except (OSError, ValueError, SyntaxError) as error:
                raise UserError(
                    f"image {ids[job.row]} cannot be decoded ({error})", "replace it, or take it out of the data set"
                ) from error

        batches = [jobs[start : start + self.batch_size] for start in range(0, len(jobs), self.batch_size)]
        with ThreadPoolExecutor(self.workers) as pool:
            ahead: list[list[Future[Tensor]]] = []
            try:
                for number, batch in enumerate(batches):
                    for coming in batches[number + len(ahead) : number + 2]:
                        ahead.append([pool.submit(decode, job) for job in coming])
                    yield batch, torch.stack([future.result() for future in ahead.pop(0)])
            finally:
                for futures in ahead:
                    for future in futures:
                        future.cancel()

    def _frozen(self) -> _Frozen:
        return _Frozen(self.visual)


class _Frozen:
    """Evaluation mode without gradients; puts the mode back."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module
        self.grad = torch.no_grad()

    def __enter__(self) -> None:
        self.training = self.module.training
        self.module.eval()
        self.grad.__enter__()

    def __exit__(self, *problem: object) -> None:
        self.grad.__exit__(*problem)
        self.module.train(self.training)
