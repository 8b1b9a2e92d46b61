"""Where things lie once they were brought, and what is noted about them beside them.

A source lies in the cache; of one that is not pinned, ``<file>.unpinned.json`` says what it looked like. What was
unpacked into a data set's folder is listed in its ``.ltbench/<archive>.sha256``, as ``sha256sum -c`` reads it; while
that is under way, ``.ltbench/<archive>.unpacking`` exists.
"""

from __future__ import annotations

import json
from pathlib import Path

from ltbench.data.base import DataRoot
from ltbench.data.getting.needs import Piece
from ltbench.data.getting.sources import Source
from ltbench.plugin.errors import Damaged
from ltbench.plugin.files import write_atomic
from ltbench.plugin.reading import read_json

NOTES = ".ltbench"


def cached(source: Source, root: DataRoot) -> Path:
    """Where the file lies in the cache once it is fetched: ``<cache>/sources/`` and its :attr:`Source.layout`."""
    return root.cache / "sources" / Path(*source.layout.split("/"))


def seen(target: Path) -> Path:
    """Where it is noted what an unpinned source looked like when it was first brought."""
    return target.with_name(target.name + ".unpinned.json")


def expected(source: Source, target: Path) -> str | None:
    """The sha256 that a file must have: the pinned one, else that of its first arrival; None when there is neither."""
    if source.sha256 is not None:
        return source.sha256
    try:
        return str(read_json(seen(target))["sha256"])
    except (OSError, Damaged, KeyError, TypeError):
        return None


def remember(source: Source, target: Path, sha256: str, origin: str) -> None:
    """Note what an unpinned file looked like when it arrived, so that a later change is seen."""
    if source.sha256 is None:
        note = {"name": source.name, "from": origin, "sha256": sha256, "unpinned": source.unpinned}
        write_atomic(seen(target), json.dumps(note, indent=1) + "\n")


def unpacking(piece: Piece, folder: Path) -> Path:
    """The folder that a piece's archive is unpacked into before its files go to their places."""
    return folder / NOTES / f"{piece.name}.unpacking"


def manifest(piece: Piece, folder: Path) -> Path:
    """The list of what was unpacked: a line ``<sha256>  <path below the folder>`` for each file."""
    return folder / NOTES / f"{piece.name}.sha256"


def read_manifest(piece: Piece, folder: Path) -> dict[str, str]:
    """sha256 by path below the data set's folder; empty where the piece was not put there by us."""
    try:
        lines = manifest(piece, folder).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    return {path: digest for digest, _, path in (line.partition("  ") for line in lines)}
