"""Encoding before any run does, in one process or in several that each take a share of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ltbench.backbones.base import Backbone
from ltbench.backbones.cache import FeatureCache
from ltbench.backbones.encode import Encoder, Job, Kind, jobs_of
from ltbench.backbones.precomputed import PrecomputedBackbone
from ltbench.backbones.shards import Share
from ltbench.backbones.views import View
from ltbench.data.base import Images
from ltbench.data.known_hashes import remember
from ltbench.data.progress import SILENT, Reporter
from ltbench.plugin.errors import UserError

#: Images of a forward pass, as :meth:`FeatureCache.features` has it; another number gives other bits.
BATCH = 32


@dataclass(frozen=True)
class Part:
    """Images that a run encodes together.

    Attributes:
        ids: row ids, as many as images.
        views: versions of each image.
        label: what the progress bar says.
    """

    images: Images
    ids: Sequence[str]
    views: Sequence[View] = (View("identity"),)
    label: str = ""

    def jobs(self, backbone: Backbone) -> dict[str, Job]:
        """Rows by their keys; identical images are one row."""
        least = backbone.least_side
        rows = (jobs_of(self.images, row, self.views, least) for row in range(len(self.images)))
        return {job.key: job for jobs in rows for job in jobs}


@dataclass(frozen=True)
class Encoded:
    """What became of a share.

    Attributes:
        rows: of all images in all views.
        share: rows of the share.
        new: those that were encoded; the others were there.
    """

    rows: int
    share: int
    new: int


class SharedCache(FeatureCache):
    """The feature cache, for processes that each encode a share of the images."""

    def encode(
        self,
        backbone: Backbone,
        parts: Sequence[Part],
        share: Share,
        *,
        kind: Kind = "global",
        device: str | torch.device | None = None,
        reporter: Reporter = SILENT,
        workers: int = 2,
    ) -> Encoded:
        """Encode one share of the images, beside processes that encode the others; nobody waits for anybody.

        Shares are dealt in whole batches of a part, cut as one process would cut them, so that features are the same to
        the bit. They are shares of all parts, since one process is still at the first when another is at the last.

        Args:
            share: which one, of how many.
            device: where to encode; None encodes where the image tower is.
            workers: threads that decode images.

        Raises:
            UserError: as :meth:`FeatureCache.features`.
        """
        if not backbone.offers(kind):
            offered = ", ".join(backbone.card.offers)
            raise UserError(f"backbone {backbone.card.name} offers {offered}, not {kind}", "ltbench list backbones")
        if isinstance(backbone, PrecomputedBackbone):
            raise UserError(f"backbone {backbone.card.name} has its features already", "ltbench list backbones")
        encoder = Encoder(backbone, kind, device, BATCH, workers)
        folder = self._folder(backbone, kind, reporter)
        dealt = [(part, part.jobs(backbone)) for part in parts]
        remember()
        total = Encoded(0, 0, 0)
        with folder.claimed(share, (key for _, jobs in dealt for key in jobs)):
            places = folder.note("regions")
            if places is None:
                # Each share finds the same number.
                places = encoder.regions() if kind == "region" else 0
                folder.set_note("regions", places)
            for part, jobs in dealt:
                index = folder.read(encoder.width(places), jobs)
                numbered = enumerate(jobs.values())
                mine = [job for number, job in numbered if number // BATCH % share.of == share.number - 1]
                missing = [job for job in mine if job.key not in index.where]
                if missing:
                    self._check_disk(backbone, len(missing), len(mine), encoder.width(places), reporter, None)
                    encoder.encode(missing, part.images, part.ids, folder, reporter, part.label)
                total = Encoded(total.rows + len(jobs), total.share + len(mine), total.new + len(missing))
        return total
