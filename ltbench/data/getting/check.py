"""Step 5, checking: all data of a task are looked at once, every file has its hash, every image opens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ltbench.data.base import DataRoot, DataSet, FileImages, Images
from ltbench.data.getting.hashes import likely_cause, sha256_of
from ltbench.data.getting.here import here
from ltbench.data.getting.needs import Needs, Piece
from ltbench.data.getting.notes import expected, manifest, read_manifest
from ltbench.data.getting.sources import Source
from ltbench.data.known_hashes import remembered
from ltbench.data.own.folder_images import FolderImages
from ltbench.data.own.images import undecodable
from ltbench.plugin.errors import Harmed, UserError
from ltbench.plugin.names import leads_out, shown
from ltbench.plugin.system import usable_cores


@dataclass
class Checked:
    """What was looked at, and what is wrong.

    Attributes:
        faults: one line each.
        hashes: files whose sha256 was compared.
        unhashed: files with nothing to compare with: the user's own, or unpinned ones that did not come through us.
        images: images that were decoded.
        rows: rows whose labels were read.
        remade: data that ltbench makes itself are harmed, and can be made anew.
    """

    faults: list[str] = field(default_factory=list)
    hashes: int = 0
    unhashed: int = 0
    images: int = 0
    rows: int = 0
    remade: bool = False


@dataclass(frozen=True)
class Opened:
    """A data set to look at.

    Attributes:
        name: of the data set.
        open: opens it.
        parts: parts to look at; None for all that are no variant of another (``test+…``).
    """

    name: str
    open: Callable[[], DataSet]
    parts: tuple[str, ...] | None = None


def check(needs: Needs, data_sets: Iterable[Opened], root: DataRoot, workers: int | None = None) -> Checked:
    """Look at everything; nothing is downloaded or mended.

    Args:
        needs: files and archives.
        data_sets: whose labels are read and whose images are decoded.
        workers: threads; None takes one for each core.
    """
    seen = Checked()
    hashes: dict[Path, str] = {}
    for found in here(needs, root):
        if isinstance(found.need, Source):
            _check_source(found.need, found.place, found.here, seen)
        else:
            hashes |= _listed(found.need, found.place, found.here, seen)
    images = _check_labels(data_sets, seen)
    _check_files(hashes, images, root, seen, workers or usable_cores())
    return seen


def _check_source(source: Source, path: Path, is_here: bool, seen: Checked) -> None:
    if not is_here:
        seen.faults.append(f"{source.name} is not here ({path})")
        return
    wanted = expected(source, path)
    if wanted is None:
        seen.unhashed += 1
        return
    seen.hashes += 1
    found = sha256_of(path)
    if found != wanted:
        cause = likely_cause(path, wanted, source.size)
        seen.faults.append(f"{source.name} has sha256 {found}, not {wanted}: {cause} ({path})")


def _listed(piece: Piece, folder: Path, is_here: bool, seen: Checked) -> dict[Path, str]:
    """sha256 of every file of a piece that we unpacked."""
    if not is_here:
        lost = [names[0] for names in piece.shows if not any((folder / name).exists() for name in names)]
        what = f"{', '.join(lost)} missing" if lost else "only partly unpacked"
        seen.faults.append(f"{piece.name} is not here ({what} in {folder})")
    listed = read_manifest(piece, folder)
    stray = [path for path in listed if leads_out(path)]
    seen.faults += [
        f"{manifest(piece, folder).name} lists {shown(path)}, which leads out of {folder}" for path in stray
    ]
    return {folder / path: digest for path, digest in listed.items() if path not in stray}


def _check_labels(data_sets: Iterable[Opened], seen: Checked) -> list[tuple[str, Images]]:
    """Read labels and captions, and give the images of every part that opens."""
    images: list[tuple[str, Images]] = []
    faults: dict[str, None] = {}
    for each in data_sets:
        try:
            opened = each.open()
        except UserError as error:
            faults |= dict.fromkeys([error.message, *error.details])
            continue
        for name in each.parts or [name for name in opened.parts if "+" not in name]:
            try:
                part = opened.part(name)
                images.append((f"{each.name} {name}", part.images))
                seen.rows += len(part.read_labels())
                if part.read_captions is not None:
                    part.read_captions()
            except UserError as error:
                faults |= dict.fromkeys([error.message, *error.details])
                seen.remade |= isinstance(error, Harmed)
    seen.faults += faults
    return images


def _check_files(
    hashes: Mapping[Path, str], images: Sequence[tuple[str, Images]], root: DataRoot, seen: Checked, workers: int
) -> None:
    """Every listed file against its hash and every image through its decoder, each file read once."""
    pictures = {path for _, each in images if isinstance(each, FileImages) for path in each.paths}
    files = sorted(pictures | set(hashes))
    others = [(label, each) for label, each in images if not isinstance(each, FileImages)]

    def look(path: Path) -> str:
        return _fault(path, hashes.get(path), path in pictures, root.cache)

    with (
        ThreadPoolExecutor(workers) as pool,
        root.reporter.task("checking files", len(files) + sum(len(each) for _, each in others)) as advance,
    ):
        for fault in pool.map(look, files):
            if fault:
                seen.faults.append(fault)
            advance(1)
        for label, each in others:
            if isinstance(each, FolderImages):
                # A run trusts stamps; here contents count.
                changed = each.content_faults()
                seen.faults += [f"{label}: {fault}" for fault in changed]
                seen.hashes += len(each)
                if changed:
                    continue
            for row in range(len(each)):
                try:
                    each.load(row)
                except UserError as error:
                    seen.faults.append(f"{label}: {error.message}")
                advance(1)
            seen.images += len(each)
    seen.images += len(pictures)
    seen.hashes += len(hashes)
    seen.unhashed += len(pictures - set(hashes))


def _fault(path: Path, wanted: str | None, picture: bool, cache: Path) -> str:
    """What is wrong with a file; empty when nothing is.

    A run trusts the hash that was remembered with the file's size and time stamp; here contents count.
    """
    shown = "/".join(path.parts[-3:])
    try:
        known = remembered(path, cache) if picture else None
        content = path.read_bytes()
    except FileNotFoundError:
        return f"{shown} is missing"
    except OSError as error:
        return f"{shown} cannot be read ({error.strerror})"
    if not content and wanted != hashlib.sha256(b"").hexdigest():
        return f"{shown} is empty (0 bytes)"
    problems = []
    found = hashlib.sha256(content).hexdigest() if wanted or known else None
    if known is not None and found != known:
        problems.append("has other bytes than when it was hashed, with the same size and time stamp; touch it")
    if wanted and found != wanted:
        problems.append(f"has sha256 {found}, not {wanted} as in its archive")
    problem = undecodable(content) if picture else ""
    if problem:
        problems.append(f"cannot be decoded ({problem})")
    return f"{shown} {' and '.join(problems)}" if problems else ""
