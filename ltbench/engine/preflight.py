"""What a run needs, finds and is going to take, before torch is imported and anything is brought or written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ltbench.backbones.registry import check_size, find_backbone
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.encoded import Encoded, encoded_by
from ltbench.engine.expected import Expected, expected, is_recorded
from ltbench.engine.lacks import Lack, Look
from ltbench.engine.needs import check_fit
from ltbench.engine.request import RunRequest, resolve_preset
from ltbench.engine.room import Room, rooms_of
from ltbench.engine.sizes import asked_size
from ltbench.method.facts import facts_of
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from ltbench.engine.measure import Measured


@dataclass(frozen=True)
class Preflight:
    """What a run needs, finds and is going to take.

    Attributes:
        lacks: what is not here.
        rooms: of the data folder and the cache.
        encoded: what the run may write into the feature cache; None where that is nothing, or unknown.
        expected: what runs like it took; None where none is recorded.
        recorded: the run is finished, as far as can be told without opening anything.
        measured: what a batch of it took just now; None where nobody asked.
    """

    request: RunRequest
    lacks: tuple[Lack, ...]
    rooms: tuple[Room, ...]
    encoded: Encoded | None
    expected: Expected | None
    recorded: bool = False
    measured: Measured | None = None

    @property
    def bytes(self) -> int:
        """Size of all that is to be brought, as far as known."""
        return sum(lack.bytes for lack in self.lacks if lack.addresses)

    @property
    def seconds(self) -> float | None:
        """How long it is going to take: as measured, else as runs like it took; None where nobody knows."""
        if self.measured is not None:
            return self.measured.seconds
        return None if self.expected is None else self.expected.seconds


def preflight(request: RunRequest, reporter: Reporter = SILENT, look: Look | None = None) -> Preflight:
    """Look what a run needs; nothing is written, brought or asked for.

    Args:
        look: of several runs of a plan, which share what they find.

    Raises:
        UserError: the method and the task do not fit together, or the file of weights does not exist.
    """
    _fit(request)
    root = request.root(reporter)
    lacks = (look or Look()).lacks(request, root)
    encoded = encoded_by(request)
    return Preflight(
        request,
        lacks,
        rooms_of(lacks, [encoded] if encoded is not None else [], root),
        encoded,
        expected(request),
        is_recorded(request),
    )


def _fit(request: RunRequest) -> None:
    """Refuse what cannot work, as far as it can be told without the method's code: of its base configuration."""
    registered, _, preset = resolve_preset(request)
    check_size(request.backbone, asked_size(request.image_size, preset))
    if request.weights not in (None, "random") and not Path(str(request.weights)).is_file():
        raise UserError(f"weights file {Path(str(request.weights)).name} does not exist", "--weights FILE")
    if request.overrides or (preset is not None and preset.overrides):
        return
    needs, offers = facts_of(registered.spec).needs, find_backbone(request.backbone)[0].spec.offers
    check_fit(request.method, needs, request.task, True, request.backbone, offers)
