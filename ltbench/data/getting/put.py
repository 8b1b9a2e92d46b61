"""Of step 4: one archive of a data set is unpacked, and its files go to their places.

An archive is unpacked into a folder of its own below ``<data set>/.ltbench`` and its files are moved from there to
their places one by one, so that a killed process leaves whole files only, and the next one goes on.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ltbench.data.base import DataRoot
from ltbench.data.getting.disk import check_room, locked, writable
from ltbench.data.getting.fetch import fetch
from ltbench.data.getting.hashes import sha256_of
from ltbench.data.getting.here import is_here
from ltbench.data.getting.needs import Piece
from ltbench.data.getting.notes import NOTES, cached, manifest, unpacking
from ltbench.data.getting.sources import Source
from ltbench.data.getting.unpack import BadArchive, unpack
from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_atomic

SHOWN = 20
"""Lines of a long list that an error shows."""


def put(piece: Piece, root: DataRoot, keep_archives: bool = False, repair: bool = False) -> None:
    """Bring one piece and put it in place.

    Args:
        piece: one that has a source.
        keep_archives: leave its archive in the cache after it is unpacked.
        repair: unpack it though it is here, and put the official files in the place of those that differ.

    Raises:
        UserError: it cannot be had, or files of other content are in its place already.
    """
    assert piece.source is not None
    source = piece.source
    folder = piece.folder(root)
    hint = "--data-root DIR, a folder that you may write; or unset LTBENCH_DATA for the one in the cache"
    with writable(folder, hint), locked(folder / NOTES / piece.name, root):
        if is_here(piece, root) and not repair:
            return
        begun = unpacking(piece, folder)
        begun.parent.mkdir(parents=True, exist_ok=True)
        archive = fetch(source, root)
        if begun.exists():
            shutil.rmtree(begun)
        begun.mkdir()
        check_room(begun, archive.stat().st_size, f"unpacking {piece.name}")
        try:
            hashes = _unpack(piece, source, archive, begun, root)
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
        if source.unpack and archive == cached(source, root) and not keep_archives:
            archive.unlink()


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
