"""What a run is going to write into the feature cache, told before anything is opened. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltbench.backbones.limit import LIMIT, limit_bytes, row_bytes
from ltbench.backbones.widths import widths_of
from ltbench.data.getting.disk import in_words
from ltbench.engine.request import RunRequest, resolve_preset
from ltbench.engine.rows import rows_of
from ltbench.engine.settled import needs_of_base, options_of
from ltbench.engine.sizes import asked_size
from ltbench.plugin.errors import UserError
from ltbench.plugin.system import slug


@dataclass(frozen=True)
class Encoded:
    """Features of a task's images, as many as a run may have to encode.

    Attributes:
        task: name without setting, whose settings share their images.
        kind: ``global`` or ``region``.
        side: of the input in pixels, where it is not the encoder's own.
        training, other: bytes of the training rows in all their views, and of test and validation rows.
    """

    task: str
    backbone: str
    kind: str
    side: int | None
    training: int
    other: int

    @property
    def bytes(self) -> int:
        """Of all rows."""
        return self.training + self.other

    @property
    def key(self) -> tuple[Any, ...]:
        """What runs that share features have in common."""
        return self.task, self.backbone, self.kind, self.side


def encoded_by(request: RunRequest) -> Encoded | None:
    """What a run may add to the cache, at most; None where it adds nothing, or only its data or encoder could tell.

    Raises:
        UserError: as :func:`ltbench.engine.settled.options_of`.
    """
    needs, options, rows = needs_of_base(request), options_of(request), rows_of(request.task)
    widths = widths_of(request.backbone)
    if needs.input == "image" or rows is None or widths is None:
        return None
    side = asked_size(request.image_size, resolve_preset(request)[2]) or options.get("image_size") or needs.image_size
    row = row_bytes(widths.numbers(needs.input == "region", side))
    limit = request.limit or max(rows.train, rows.test)
    validation = rows.validation if needs.validation else 0
    return Encoded(
        task=request.task.name,
        backbone=request.backbone,
        kind=needs.input,
        side=side,
        training=min(rows.train, limit) * _views(options) * row,
        other=(min(rows.test, limit) + validation) * row,
    )


def _views(options: dict[str, Any]) -> int:
    """Versions of a training image that lie in the cache; none where each epoch encodes its own."""
    augment = options.get("augment", "none")
    return {"live": 0, "flip": 2, "views": 1 + int(options.get("views_k") or 0)}.get(str(augment), 1)


def together(found: Iterable[Encoded]) -> list[Encoded]:
    """The features of several runs; of runs that share them, the most that one of them writes."""
    largest: dict[tuple[Any, ...], Encoded] = {}
    for one in found:
        if one.key not in largest or largest[one.key].bytes < one.bytes:
            largest[one.key] = one
    return list(largest.values())


def begun(one: Encoded, cache: Path) -> bool:
    """Whether the cache holds features of the encoder, which may be these.

    Args:
        cache: of :class:`ltbench.data.base.DataRoot`.
    """
    return any((cache / "features").glob(f"{slug(one.backbone)}-{one.kind}-*"))


def check_limit(found: Iterable[Encoded], cache: Path) -> None:
    """Refuse features that the cache may not hold, before anything is brought for them.

    Raises:
        UserError: one part of a run's images needs more than ``LTBENCH_CACHE_LIMIT``.
    """
    for one in found:
        most, limit = max(one.training, one.other), limit_bytes()
        if most > limit and not begun(one, cache):
            raise UserError(
                f"encoded features of {one.task} by {one.backbone} take {in_words(most)} in the cache, where "
                f"{in_words(limit)} are allowed; nothing was downloaded",
                f"{LIMIT}={-(-most // 2**30)}G, or fewer views of an image (-o augment=none)",
            )
