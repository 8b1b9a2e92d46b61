"""Putting data in place: what a task or data set needs, what of it is here, and how the rest gets here.

An archive is unpacked into a folder of its own below ``<data set>/.ltbench`` and its files are moved from there to
their places one by one, so that a killed process leaves whole files only, and the next one goes on. What was unpacked
is listed in ``<data set>/.ltbench/<archive>.sha256``, as ``sha256sum -c`` reads it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from ltbench.data.base import DataRoot
from ltbench.data.getting.archives import Piece
from ltbench.data.getting.fetch import check_room, in_words, locked, writable
from ltbench.data.getting.hashes import sha256_of
from ltbench.data.getting.sources import Source, cached, fetch
from ltbench.data.getting.unpack import BadArchive, unpack
from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_atomic

NOTES = ".ltbench"
SHOWN = 20
"""Lines of a long list that an error shows."""


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


@dataclass(frozen=True)
class Item:
    """One thing that is needed, and whether it is here.

    Attributes:
        state: ``here``; ``missing``: it can be downloaded; ``by hand``: a person has to get it.
        bytes: to be downloaded where it is missing, as far as known.
        place: where it lies or is going to.
        todo: what a person has to do about it.
        pinned: its sha256 is known.
    """

    name: str
    state: Literal["here", "missing", "by hand"]
    bytes: int
    place: Path
    origin: str
    licence: str
    todo: str = ""
    pinned: bool = True


def items(needs: Needs, root: DataRoot) -> list[Item]:
    """Everything that is needed, told without reading it."""
    found = [
        Item(
            source.name,
            "here" if cached(source, root).is_file() else "missing",
            source.size or 0,
            cached(source, root),
            source.origin,
            source.licence,
            pinned=source.sha256 is not None,
        )
        for source in needs.sources
    ]
    for piece in needs.pieces:
        place = piece.folder(root)
        source = piece.source
        state: Literal["here", "missing", "by hand"] = "missing" if source else "by hand"
        if is_here(piece, root):
            state = "here"
        todo = f"{piece.by_hand}: {place}" if state == "by hand" else ""
        size, origin = (source.size or 0, source.origin) if source else (0, "by hand")
        pinned = source is not None and source.sha256 is not None
        found.append(Item(piece.name, state, size, place, origin, piece.licence, todo, pinned))
    return found


def is_here(piece: Piece, root: DataRoot) -> bool:
    """Whether a piece is in place; not so while its archive is only partly unpacked."""
    folder = piece.folder(root)
    begun = _unpacking(piece, folder).exists() and not manifest(piece, folder).exists()
    return piece.shown(root) and not begun


def manifest(piece: Piece, folder: Path) -> Path:
    """The list of what was unpacked: a line ``<sha256>  <path below the folder>`` for each file."""
    return folder / NOTES / f"{piece.name}.sha256"


def prepare(needs: Needs, root: DataRoot, keep_archives: bool = False, repair: bool = False) -> list[Item]:
    """Bring everything that is missing; says how much that is before it begins.

    Args:
        keep_archives: leave archives in the cache after they are unpacked.
        repair: unpack what is here once more, and put the official files in the place of those that differ.

    Returns:
        What was brought.

    Raises:
        UserError: something could not be brought. All that could was; ``details`` has a line for each thing that could
            not.
    """
    wanted = [item for item in items(needs, root) if item.state == "missing"]
    downloads = [piece for piece in needs.pieces if piece.source is not None and (repair or not is_here(piece, root))]
    _announce(needs, wanted, downloads, root, keep_archives)
    # A source that is here is fetched too: this checks it.
    jobs: list[Callable[[], object]] = [partial(fetch, source, root) for source in needs.sources]
    jobs += [partial(put, piece, root, keep_archives, repair) for piece in downloads]
    problems: list[UserError] = []
    for job in jobs:
        try:
            job()
        except UserError as error:
            problems.append(error)
    by_hand = [item for item in items(needs, root) if item.state == "by hand"]
    problems += [UserError(f"{item.name} has to be got by hand", item.todo) for item in by_hand]
    if len(problems) == 1:
        raise problems[0]
    if problems:
        count = len(needs.sources) + len(needs.pieces)
        raise UserError(
            f"{len(problems)} of the {count} things that {needs.name} needs are not here",
            f"see above, then ltbench data prepare {needs.name}",
            [line for problem in problems for line in (str(problem), *(f"  {more}" for more in problem.details))],
        )
    return wanted


def put(piece: Piece, root: DataRoot, keep_archives: bool = False, repair: bool = False) -> None:
    """Bring one piece and put it in place.

    Raises:
        UserError: it cannot be had, or files of other content are in its place already.
    """
    assert piece.source is not None
    folder = piece.folder(root)
    hint = "--data-root DIR, a folder that you may write; or unset LTBENCH_DATA for the one in the cache"
    with writable(folder, hint), locked(folder / NOTES / piece.name, root):
        if is_here(piece, root) and not repair:
            return
        begun = _unpacking(piece, folder)
        begun.parent.mkdir(parents=True, exist_ok=True)
        archive = fetch(piece.source, root)
        if begun.exists():
            shutil.rmtree(begun)
        begun.mkdir()
        check_room(begun, archive.stat().st_size, f"unpacking {piece.name}")
        try:
            hashes = _unpack(piece, piece.source, archive, begun, root)
            _refuse_others(piece, hashes, folder, repair)
        except UserError:
            shutil.rmtree(begun)
            raise
        # From here to the end, the folder of what was begun tells that the piece is not whole.
        for path in hashes:
            target = folder / _below(piece, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(begun / path, target)
        lines = [f"{digest}  {_below(piece, path)}\n" for path, digest in sorted(hashes.items())]
        write_atomic(manifest(piece, folder), "".join(lines))
        shutil.rmtree(begun)
        if piece.source.unpack and archive == cached(piece.source, root) and not keep_archives:
            archive.unlink()


def read_manifest(piece: Piece, folder: Path) -> dict[str, str]:
    """sha256 by path below the data set's folder; empty where the piece was not put there by us."""
    try:
        lines = manifest(piece, folder).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    return {path: digest for digest, _, path in (line.partition("  ") for line in lines)}


def _announce(needs: Needs, missing: list[Item], downloads: list[Piece], root: DataRoot, keep: bool) -> None:
    """Say how much is going to be downloaded, and refuse what the disk cannot hold."""
    parts = {item.name: item.bytes for item in missing}
    parts |= {piece.name: piece.source.size or 0 for piece in downloads if piece.source is not None}
    if not parts:
        return
    names = ", ".join(f"{name} ({in_words(size)})" if size else name for name, size in parts.items())
    root.reporter.line(f"{needs.name} needs {in_words(sum(parts.values()))} more: {names}")
    if not root.offline:
        # Of archives and what is in them, one archive at a time lies there twice, or all when they are kept.
        twice = sum(parts.values()) if keep else max(parts.values())
        check_room(root.home, sum(parts.values()) + twice, needs.name)


def _unpacking(piece: Piece, folder: Path) -> Path:
    return folder / NOTES / f"{piece.name}.unpacking"


def _unpack(piece: Piece, source: Source, archive: Path, begun: Path, root: DataRoot) -> dict[str, str]:
    if source.unpack is None:
        shutil.copyfile(archive, begun / source.name)
        return {source.name: sha256_of(begun / source.name)}
    try:
        hashes = unpack(archive, source.unpack, begun, root.reporter, name=piece.name)
    except BadArchive as error:
        if archive == cached(source, root):
            # Kept, it would be found bad for ever.
            archive.unlink()
            raise BadArchive(f"{error.message}; it was removed", "the same command again brings it anew") from error
        raise BadArchive(f"{error.message}; it lies in the mirror ({archive})", "replace it there") from error
    return hashes


def _below(piece: Piece, path: str) -> str:
    """Where a file of the archive belongs, below the data set's folder."""
    return path.removeprefix(f"{piece.strip}/") if piece.strip else path


def _refuse_others(piece: Piece, hashes: dict[str, str], folder: Path, repair: bool) -> None:
    """Refuse to overwrite files of other content, which may be the user's own.

    Raises:
        UserError: there are such files, and nobody asked for a repair.
    """
    others = []
    for path, digest in hashes.items():
        target = folder / _below(piece, path)
        if target.is_dir() or (target.exists() and not repair and sha256_of(target) != digest):
            others.append(_below(piece, path))
    if others:
        more = [f"and {len(others) - SHOWN} more"] if len(others) > SHOWN else []
        raise UserError(
            f"{piece.name}: {len(others)} files in {folder} are there already and differ from the official ones",
            "--repair puts the official files in their place; --data-root DIR leaves yours alone",
            [*others[:SHOWN], *more],
        )
