"""Step 3, what to bring: a value that says how much it is, from where, and what to type, before anything is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ltbench.data.base import DataRoot
from ltbench.data.getting.disk import in_words
from ltbench.data.getting.here import Found, here
from ltbench.data.getting.mirror import nearby
from ltbench.data.getting.needs import Needs, Piece
from ltbench.data.getting.sources import Source

State = Literal["here", "missing", "by hand"]


@dataclass(frozen=True)
class Item:
    """One thing that is needed, and whether it is here.

    Attributes:
        state: ``here``; ``missing``: it can be downloaded; ``by hand``: a person has to get it.
        bytes: to be downloaded where it is missing, as far as known.
        place: where it lies or is going to.
        origin: of a file, as :attr:`Source.origin` has it; ``by hand`` where it has none.
        licence: licence or terms of use, one line.
        todo: what a person has to do about it.
        pinned: its sha256 is known.
        source: the file that is downloaded for it; None where a person has to get it.
        piece: the piece of a data set that the file is unpacked into; None for a file that stays in the cache.
    """

    name: str
    state: State
    bytes: int
    place: Path
    origin: str
    licence: str
    todo: str = ""
    pinned: bool = True
    source: Source | None = field(default=None, repr=False)
    piece: Piece | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Web address of the file; empty where a person has to get it."""
        return self.source.url if self.source is not None else ""

    @property
    def mirrored(self) -> bool:
        """Whether the mirror folder that ``LTBENCH_MIRROR`` names has the file."""
        return self.source is not None and nearby(self.source.layout) is not None


@dataclass(frozen=True)
class Plan:
    """What is needed, and what of it has to be brought.

    Attributes:
        needs: what was asked about.
        items: everything that is needed, single files first.
        repair: pieces that are here are brought once more.
    """

    needs: Needs
    items: tuple[Item, ...]
    repair: bool = False

    @property
    def name(self) -> str:
        """Task or data set, as typed."""
        return self.needs.name

    @property
    def complete(self) -> bool:
        """Whether all is here."""
        return all(item.state == "here" for item in self.items)

    @property
    def missing(self) -> tuple[Item, ...]:
        """What is not here and can be downloaded."""
        return tuple(item for item in self.items if item.state == "missing")

    @property
    def by_hand(self) -> tuple[Item, ...]:
        """What is not here and a person has to get."""
        return tuple(item for item in self.items if item.state == "by hand")

    @property
    def downloads(self) -> tuple[Item, ...]:
        """What is going to be downloaded: all that is missing, and what is to be repaired."""
        again = [item for item in self.items if item.state == "here" and item.piece and item.source]
        return (*self.missing, *(again if self.repair else ()))

    @property
    def bytes(self) -> int:
        """Size of the downloads, as far as known."""
        return sum(item.bytes for item in self.downloads)

    @property
    def command(self) -> str:
        """The command that brings it."""
        return f"ltbench data prepare {self.name}"

    @property
    def summary(self) -> str:
        """What is going to be downloaded, one line; empty when that is nothing."""
        if not self.downloads:
            return ""
        each = (f"{item.name} ({in_words(item.bytes)})" if item.bytes else item.name for item in self.downloads)
        return f"{self.name} needs {in_words(self.bytes)} more: {', '.join(each)}"

    def room(self, keep_archives: bool = False) -> int:
        """Bytes on the disk that bringing it takes.

        Of archives and what is in them, one archive at a time lies there twice, or all when they are kept.
        """
        sizes = [item.bytes for item in self.downloads]
        return self.bytes + (self.bytes if keep_archives else max(sizes, default=0))


def plan(needs: Needs, root: DataRoot, repair: bool = False) -> Plan:
    """What has to be brought so that all that is needed is here; nothing is read, written or asked for.

    Args:
        repair: unpack what is here once more as well.
    """
    return Plan(needs, tuple(_item(found) for found in here(needs, root)), repair)


def _item(found: Found) -> Item:
    need = found.need
    if isinstance(need, Source):
        state: State = "here" if found.here else "missing"
        pinned = need.sha256 is not None
        return Item(
            need.name, state, need.size or 0, found.place, need.origin, need.licence, pinned=pinned, source=need
        )
    source = need.source
    state = "here" if found.here else "missing" if source else "by hand"
    todo = f"{need.by_hand}: {found.place}" if state == "by hand" else ""
    size, origin = (source.size or 0, source.origin) if source else (0, "by hand")
    pinned = source is not None and source.sha256 is not None
    return Item(need.name, state, size, found.place, origin, need.licence, todo, pinned, source, need)
