"""Step 2, what of it is here: told from the names of files, without asking a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ltbench.data.base import DataRoot
from ltbench.data.getting.needs import Needs, Piece
from ltbench.data.getting.notes import cached, manifest, unpacking
from ltbench.data.getting.sources import Source
from ltbench.data.status import DataStatus
from ltbench.plugin.manager import registry


@dataclass(frozen=True)
class Found:
    """One needed thing, as it is on this machine.

    Attributes:
        need: the thing.
        place: the file in the cache, or the data set's folder; where it would be, when it is not here.
        here: it is here as a whole.
    """

    need: Source | Piece
    place: Path
    here: bool


def here(needs: Needs, root: DataRoot) -> list[Found]:
    """Everything that is needed, sources first, each with whether it is here."""
    files = [(source, cached(source, root)) for source in needs.sources]
    found = [Found(source, place, place.is_file()) for source, place in files]
    return found + [Found(piece, piece.folder(root), is_here(piece, root)) for piece in needs.pieces]


def is_here(piece: Piece, root: DataRoot) -> bool:
    """Whether a piece is in place; not so while its archive is only partly unpacked."""
    return piece.shown(root) and not is_begun(piece, root)


def is_begun(piece: Piece, root: DataRoot) -> bool:
    """Whether an archive was only partly unpacked: what shows its piece may be there, and most of it not."""
    folder = piece.folder(root)
    return unpacking(piece, folder).exists() and not manifest(piece, folder).exists()


def state_of(data_set: str, root: DataRoot) -> list[DataStatus]:
    """What of a whole data set is here, as its plugin tells it; in part, while an archive of it is partly unpacked.

    Raises:
        UserError: the plugin cannot tell.
    """
    spec = registry().datasets.get(data_set).spec
    if spec.status is None:
        return [DataStatus(spec.name, "on demand", "its plugin does not say")]
    told: Callable[[DataRoot], list[DataStatus]] = spec.load_target(spec.status)
    found = told(root)
    pieces: Callable[[], Iterable[Piece]] = tuple if spec.pieces is None else spec.load_target(spec.pieces)
    begun = [piece.name for piece in pieces() if is_begun(piece, root)]
    if not begun:
        return found
    detail, command = f"{', '.join(begun)} only partly unpacked", f"ltbench data prepare {data_set}"
    return [
        replace(status, state="partly", detail=detail, next=command) if status.state == "here" else status
        for status in found
    ]
