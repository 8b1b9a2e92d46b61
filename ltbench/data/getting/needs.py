"""Step 1, what a task needs: single files and the pieces of data sets, as values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ltbench.data.base import DataRoot
from ltbench.data.formats.layouts import Layout, find
from ltbench.data.getting.sources import Source


@dataclass(frozen=True)
class Piece:
    """One thing that a data set on disk consists of.

    Attributes:
        name: what people call it: the archive's name.
        layout: where the data set lies.
        shows: files or folders below the data set's own, all of which are there when the piece is; each a tuple of
            names, one of which is enough.
        parts: parts of the data set that need it, with all their variants (``test+…``); empty for all.
        without: endings of part names that do without it.
        source: where it comes from; None when it has to be got by hand.
        strip: folders in the archive that stand for the data set's own.
        by_hand: how to get it, where ``source`` is None.
        licence: licence or terms of use, one line.
    """

    name: str
    layout: Layout
    shows: tuple[tuple[str, ...], ...]
    parts: tuple[str, ...] = ()
    source: Source | None = None
    strip: str = ""
    by_hand: str = ""
    licence: str = ""
    without: tuple[str, ...] = ()

    def needed_by(self, part: str) -> bool:
        """Whether a part of the data set needs it."""
        return (not self.parts or part.partition("+")[0] in self.parts) and not part.endswith(self.without or ("\0",))

    def folder(self, root: DataRoot) -> Path:
        """The data set's folder: where it is found, else where it is going to be."""
        found = find(root, self.layout)
        if found is not None:
            return found
        usual = Path(self.layout.folders[0])
        for place in root.places:
            # The data root may be the data set's folder itself.
            if place.name == usual.name and all((place / mark).exists() for mark in self.layout.marks):
                return place
        return root.home / usual

    def shown(self, root: DataRoot) -> bool:
        """Whether everything that shows the piece is there."""
        folder = self.folder(root)
        return all(any((folder / name).exists() for name in names) for names in self.shows)


@dataclass(frozen=True)
class Needs:
    """What has to be on this machine.

    Attributes:
        name: task or data set, as typed.
        sources: single files, which are kept in the cache.
        pieces: what data sets on disk consist of.
    """

    name: str
    sources: tuple[Source, ...] = ()
    pieces: tuple[Piece, ...] = ()
