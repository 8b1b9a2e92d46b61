"""The feature cache: each image is encoded once per view, by whichever run comes first."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

from ltbench.backbones.among import ALONE, Among, dealt
from ltbench.backbones.base import Backbone
from ltbench.backbones.encode import Encoder, Job, Kind, jobs_of
from ltbench.backbones.features import FeatureRows, Features
from ltbench.backbones.limit import LIMIT, limit_bytes, row_bytes
from ltbench.backbones.precomputed import PrecomputedBackbone
from ltbench.backbones.shards import Index, ShardFolder
from ltbench.backbones.views import View, flip, identity, seeded_view
from ltbench.data.base import Images
from ltbench.data.known_hashes import remember
from ltbench.data.progress import SILENT, Reporter
from ltbench.plugin.errors import DiskFull, UserError
from ltbench.plugin.system import slug

__all__ = ["FeatureCache", "Features", "Kind", "View", "flip", "identity", "limit_bytes", "seeded_view"]

_SPARE = 64 * 2**20
#: Seconds after which a shared disk shows what another machine wrote, or never will.
_PATIENCE = 90.0


class FeatureCache:
    """Features of images, kept on disk per image and shared by all processes.

    A row is found again by weights, transform, encoder revision and dtype (the folder), and by image content and view
    (the key); file names and row order do not matter. The last bits of a feature depend on the batch it was computed
    in, because matrix products are split by size. Features are therefore read from the cache only, also right after
    they were computed: once written, a row is the same for every run that shares the cache.

    Args:
        root: folder of all encoders' rows, for example ``DataRoot.cache / "features"``.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def features(
        self,
        backbone: Backbone,
        images: Images,
        ids: Sequence[str],
        *,
        kind: Kind = "global",
        views: Sequence[View] = (View("identity"),),
        device: str | torch.device | None = None,
        batch_size: int = 32,
        reporter: Reporter = SILENT,
        max_bytes: int | None = None,
        workers: int = 2,
        label: str = "",
        among: Among = ALONE,
    ) -> Features:
        """Features of all images under all views; only missing rows are encoded.

        Several processes that ask for the same rows together deal the missing ones in whole batches, so that each
        feature has the bits that one process would give it. Rank 0 alone holds the folder's lock: the others wait for
        nobody while they encode, and a process of another run finds the rows when all have been written.

        Args:
            backbone: the encoder; its dtype is part of the key.
            images: images by row.
            ids: row ids, as many as images.
            kind: ``global``, or ``region`` for global and region features.
            views: versions of each image.
            device: where to encode; None encodes where the image tower is.
            batch_size: images a forward pass.
            reporter: told the disk need before encoding, and the progress.
            max_bytes: most bytes to add; None takes ``LTBENCH_CACHE_LIMIT``, else 50 GiB.
            workers: threads that decode images.
            label: what the progress bar says; empty names the backbone.
            among: the processes that ask together, each with the same rows.

        Raises:
            UserError: the backbone does not offer the kind; the need exceeds the limit or the free space; an image
                cannot be decoded (named); the backbone gives features that are not finite (image named).
        """
        if len(ids) != len(images):
            raise ValueError(f"{len(ids)} ids for {len(images)} images")
        if not backbone.offers(kind):
            offered = ", ".join(backbone.card.offers)
            raise UserError(f"backbone {backbone.card.name} offers {offered}, not {kind}", "ltbench list backbones")
        if isinstance(backbone, PrecomputedBackbone):
            return _precomputed(backbone, ids, views)
        encoder = Encoder(backbone, kind, device, batch_size, workers)
        folder = self._folder(backbone, kind, reporter)
        least = backbone.least_side
        jobs = [jobs_of(images, row, views, least) for row in range(len(ids))]
        remember()
        keys = [[job.key for job in line] for line in jobs]
        wanted = {job.key: job for line in jobs for job in line}
        places = folder.note("regions") if kind == "region" else 0
        index = Index() if places is None else folder.read(encoder.width(places), wanted)
        lacks = any(key not in index.where for key in wanted)
        if among.agree(lambda: lacks):
            with folder.lock() if among.rank == 0 else nullcontext():

                def set_up() -> tuple[int, list[str]]:
                    folder.prepare()
                    places = encoder.regions() if kind == "region" else 0
                    folder.set_note("regions", places)
                    found = folder.read(encoder.width(places), wanted, repair=True)
                    missing = [key for key in wanted if key not in found.where]
                    if missing:
                        self._check_disk(
                            backbone, len(missing), len(wanted), encoder.width(places), reporter, max_bytes
                        )
                    return places, missing

                places, missing = among.agree(set_up)
                own = [wanted[key] for key in dealt(among, missing, batch_size)]
                among.each(lambda: encoder.encode(own, images, ids, folder, reporter, label) if own else None)
            index = among.each(lambda: _written(folder, encoder.width(places or 0), wanted))
        elif lacks:
            index = _written(folder, encoder.width(places or 0), wanted)
        return _gather(index, keys, ids, views, backbone, kind, places or 0)

    def _folder(self, backbone: Backbone, kind: Kind, reporter: Reporter) -> ShardFolder:
        card = backbone.card
        identity = {
            "weights_sha256": card.weights_sha256,
            "transform_sha256": card.transform_sha256,
            "revision": card.revision,
            "dtype": card.dtype,
            "kind": kind,
        }
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
        return ShardFolder(self.root / f"{slug(card.name)}-{kind}-{digest[:16]}", identity, reporter)

    def _check_disk(
        self, backbone: Backbone, missing: int, total: int, width: int, reporter: Reporter, max_bytes: int | None
    ) -> None:
        need = missing * row_bytes(width)
        limit = limit_bytes() if max_bytes is None else max_bytes
        reporter.line(
            f"feature cache: {missing} of {total} rows to encode with {backbone.card.name}, {human(need)} on disk"
        )
        if need > limit:
            raise UserError(
                f"the features of {missing} rows need {human(need)} on disk, the limit is {human(limit)}",
                f"{LIMIT}={human(need, whole=True)}, fewer views, or global instead of region features",
            )
        free = shutil.disk_usage(self.root).free
        if need + _SPARE > free:
            raise DiskFull(
                f"the features of {missing} rows need {human(need)} on disk, {human(free)} are free",
                "set LTBENCH_CACHE to a folder on another disk, or free space",
            )


def _written(folder: ShardFolder, width: int, wanted: Mapping[str, Job]) -> Index:
    """Rows that have been written, by this process or by others; a shared disk may show those a little later.

    Raises:
        UserError: some are not to be seen here.
    """
    until = time.monotonic() + _PATIENCE
    while True:
        index = folder.read(width, wanted)
        lost = sum(key not in index.where for key in wanted)
        if not lost:
            return index
        if time.monotonic() > until:
            raise UserError(
                f"{lost} of {len(wanted)} features that were encoded together are not to be seen here",
                "LTBENCH_CACHE=DIR, a folder that all machines of the run share",
            )
        time.sleep(1.0)


def human(size: float, whole: bool = False) -> str:
    """Bytes in words; ``whole`` rounds up, in the form that ``LTBENCH_CACHE_LIMIT`` takes."""
    units = ["B", "K", "M", "G", "T"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    unit = units[0]
    if whole:
        return f"{int(size) + 1}{'' if unit == 'B' else unit}"
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}iB"


def _gather(
    index: Index,
    keys: Iterable[Sequence[str]],
    ids: Sequence[str],
    views: Sequence[View],
    backbone: Backbone,
    kind: Kind,
    places: int,
) -> Features:
    where = np.array([[index.where[key] for key in line] for line in keys], dtype=np.int64)
    where = where.reshape(len(ids), len(views), 2)
    dim, region_dim = backbone.card.dim, backbone.card.region_dim or 0
    pooled = FeatureRows(index.shards, where, slice(0, dim), (dim,))
    regions = None
    if kind == "region":
        regions = FeatureRows(index.shards, where, slice(dim, dim + places * region_dim), (places, region_dim))
    return Features(tuple(ids), tuple(views), pooled, regions)


def _precomputed(backbone: PrecomputedBackbone, ids: Sequence[str], views: Sequence[View]) -> Features:
    other = [view.id for view in views if view.transform is not None]
    if other:
        raise UserError(
            f"backbone {backbone.card.name} has features only, it cannot make the view {other[0]!r}",
            "a backbone with an image tower, or no augmentation",
        )
    rows = backbone.features_for(ids)
    return Features(tuple(ids), tuple(views), np.repeat(rows[:, None], len(views), axis=1), None)
