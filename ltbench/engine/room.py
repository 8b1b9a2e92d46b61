"""Room on the disks for what runs are going to bring and write. Imports no torch."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ltbench.data.base import DataRoot
from ltbench.data.getting.disk import SPARE, in_words
from ltbench.engine.encoded import Encoded, begun
from ltbench.engine.lacks import Lack
from ltbench.plugin.errors import DiskFull


@dataclass(frozen=True)
class Room:
    """Room on the disk of one folder.

    Attributes:
        what: ``data`` or ``cache``.
        needed: bytes that what is missing is going to take there, encoded features of a run that begins with an empty
            cache included.
        free: bytes that are free.
    """

    what: str
    folder: Path
    needed: int
    free: int


def rooms_of(lacks: Sequence[Lack], encoded: Sequence[Encoded], root: DataRoot) -> tuple[Room, ...]:
    """Room for what is missing and for features.

    Features count where none of their encoder are in the cache; else the cache itself counts, once images are read,
    those that it lacks.
    """
    unpacked = sum(lack.bytes for lack in lacks if lack.archive)
    # One archive at a time lies in the cache, unless a mirror folder serves it.
    largest = max((lack.bytes for lack in lacks if lack.archive and not lack.mirrored), default=0)
    kept = sum(lack.bytes for lack in lacks if not lack.archive and lack.addresses)
    features = sum(one.bytes for one in encoded if not begun(one, root.cache))
    # The archive is gone again before the first image is encoded.
    wanted = (("data", root.home, unpacked), ("cache", root.cache, kept + max(largest, features)))
    return tuple(
        Room(what, folder, needed, shutil.disk_usage(_standing(folder)).free) for what, folder, needed in wanted
    )


def check_rooms(rooms: Sequence[Room], whose: str) -> None:
    """Refuse what the disks cannot hold, before anything is brought.

    Args:
        whose: what needs the room, for the error.

    Raises:
        DiskFull: less is free on a disk than what all folders on it need, and some to spare.
    """
    needed: dict[int, int] = {}
    for room in rooms:
        disk = _standing(room.folder).stat().st_dev
        needed[disk] = needed.get(disk, 0) + room.needed
        if room.needed and room.free < needed[disk] + SPARE:
            raise DiskFull(
                f"{whose} needs {in_words(needed[disk])} on the disk of {room.folder}, "
                f"where {in_words(room.free)} are free; nothing was downloaded",
                "free some space, or name another disk: LTBENCH_CACHE=DIR, --data-root DIR",
            )


def _standing(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
