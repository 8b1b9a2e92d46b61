"""Bringing one source: cache, mirror, origin, in that order; one process at a time; the sha256 decides."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ltbench.data.base import DataRoot
from ltbench.data.getting.download import GaveUp, NotThere, download, forget
from ltbench.data.getting.hashes import sha256_of, wrong_file
from ltbench.data.getting.mirror import VARIABLE, Mirror, mirror
from ltbench.data.getting.sources import Source, cached
from ltbench.data.progress import Advance, Reporter
from ltbench.plugin.errors import UserError
from ltbench.plugin.files import explain_os_error, write_atomic

CHUNK = 1 << 20
MB = 1_000_000
SPARE = 100_000_000
"""Bytes that stay free on a disk."""
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


def bring(source: Source, target: Path, root: DataRoot) -> Path:
    """Bring a source to ``target``; see :func:`ltbench.data.getting.sources.fetch`."""
    if _is_there(source, target, root, mend=False):
        return target
    with writable(target, "LTBENCH_CACHE=DIR, a folder that you may write"), locked(target, root):
        # Another process may have brought it meanwhile.
        if _is_there(source, target, root, mend=True):
            return target
        return _bring(source, target, root)


def cached_or_near(source: Source, root: DataRoot) -> Path | None:
    """The file in the cache or in a mirror folder, whichever is what it should be; None when neither is.

    Raises:
        UserError: ``LTBENCH_MIRROR`` is no mirror.
    """
    target = cached(source, root)
    for path in (target, _nearby(source)):
        if path is not None and path.is_file() and expected(source, target) in (None, sha256_of(path)):
            return path
    return None


def seen(target: Path) -> Path:
    """Where it is noted what an unpinned source looked like when it was first brought."""
    return target.with_name(target.name + ".unpinned.json")


def expected(source: Source, target: Path) -> str | None:
    """The sha256 that a file must have: the pinned one, else that of its first arrival; None when there is neither."""
    if source.sha256 is not None:
        return source.sha256
    try:
        return str(json.loads(seen(target).read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def writable(target: Path, hint: str) -> Iterator[None]:
    """Turn errors of the system while something is written into one line that names the place."""
    try:
        yield
    except OSError as error:
        explained = explain_os_error(error, str(error.filename or target))
        raise UserError(explained.message, hint if error.errno in _DENIED else explained.hint) from error


@contextmanager
def locked(target: Path, root: DataRoot) -> Iterator[None]:
    """Let one process at a time work on a file or folder; the others are told and wait."""
    from filelock import FileLock, Timeout

    # Beside the files there is no room for it: their folders have the layout of a mirror and may be used as one.
    folder = root.cache / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{hashlib.sha256(str(target.absolute()).encode()).hexdigest()[:32]}.lock")
    try:
        lock.acquire(timeout=1)
    except Timeout:
        root.reporter.line(f"waiting for another process that prepares {target.name}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def check_room(folder: Path, needed: int, what: str) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        UserError: less than ``needed`` bytes, and some to spare, are free.
    """
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE:
        raise UserError(
            f"{what} needs {in_words(needed)} on the disk of {folder}, where {in_words(free)} are free",
            "free some space, or name another disk: LTBENCH_CACHE=DIR, --data-root DIR",
        )


def in_words(size: int) -> str:
    """Bytes for people: ``19.3 GB``."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def _is_there(source: Source, target: Path, root: DataRoot, mend: bool) -> bool:
    """Whether the cache holds the file as it should be. A harmed one is removed when ``mend`` is set."""
    if not target.is_file():
        return False
    wanted = expected(source, target)
    found = sha256_of(target)
    if wanted is None:
        # Put here by hand: taken for what it is called, and remembered.
        if mend:
            _remember(source, target, found, "put into the cache by hand")
        return mend
    if found == wanted:
        return True
    if mend:
        if root.offline and _nearby(source) is None:
            raise wrong_file(source, target, found, wanted, f"the cache ({target})", f"remove {target}")
        root.reporter.line(f"{source.name} in the cache is not what it was ({found[:12]}…): brought again")
        target.unlink()
    return False


def _nearby(source: Source) -> Path | None:
    """The file in a mirror folder."""
    known = mirror()
    return known.path(source) if known else None


def _bring(source: Source, target: Path, root: DataRoot) -> Path:
    known = mirror()
    near = known.path(source) if known else None
    if near is not None:
        return _from_folder(source, near, target)
    tried = _lacks(source, known)
    if root.offline:
        raise UserError(
            f"{source.name} is not here and the network is off limits (offline); it would lie at {target}{tried}",
            f"leave out --offline and LTBENCH_OFFLINE, or {VARIABLE}=DIR with {source.layout}",
        )
    if known is not None and known.address:
        try:
            return _from_web(source, known.url(source), target, root, f"replace it in the mirror, or unset {VARIABLE}")
        except (NotThere, GaveUp) as problem:
            tried = f"; the mirror {known} does not have it ({problem})"
    if tried:
        root.reporter.line(f"{source.name}{tried.replace(';', ':', 1)}; asking its origin")
    again = f"the same command again later, or {VARIABLE}=DIR with the right file"
    try:
        return _from_web(source, source.url, target, root, again)
    except NotThere as problem:
        raise UserError(
            f"{source.name} is not to be had from {source.url} ({problem}){tried}",
            f"{VARIABLE}=DIR with {source.layout}",
        ) from problem
    except GaveUp as problem:
        raise UserError(
            f"{source.name} could not be downloaded from {source.url} ({problem}){tried}",
            f"the same command again: what has arrived is kept; or {VARIABLE}=DIR",
        ) from problem


def _lacks(source: Source, known: Mirror | None) -> str:
    return f"; the mirror {known} lacks {source.layout}" if known is not None and known.folder is not None else ""


def _from_folder(source: Source, near: Path, target: Path) -> Path:
    """Take a file from a mirror folder: plain files are copied, archives are large, serve once, and stay there."""
    try:
        found = sha256_of(near)
    except OSError as error:
        raise UserError(f"{near} in the mirror cannot be read ({error.strerror})", f"unset {VARIABLE}") from error
    wanted = expected(source, target)
    if wanted is not None and found != wanted:
        raise wrong_file(source, near, found, wanted, f"the mirror ({near})", f"replace it there, or unset {VARIABLE}")
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
        _remember(source, target, found, str(near))
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
            broken = wrong_file(source, part, found, str(source.sha256), url, hint)
            forget(part)
            raise broken
    before = expected(source, target)
    if before not in (None, found):
        root.reporter.line(f"{source.name} is not pinned, and not what it was: sha256 {before} before, {found} now")
    _remember(source, target, found, url)
    os.replace(part, target)
    forget(part)
    return target


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _settle(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _remember(source: Source, target: Path, sha256: str, origin: str) -> None:
    """Note what an unpinned file looked like when it arrived, so that a later change is seen."""
    if source.sha256 is None:
        note = {"name": source.name, "from": origin, "sha256": sha256, "unpinned": source.unpinned}
        write_atomic(seen(target), json.dumps(note, indent=1) + "\n")


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
