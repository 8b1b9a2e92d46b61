"""Unpacking archives that may be damaged or hostile: plain files and folders only, inside the target, within limits."""

from __future__ import annotations

import errno
import hashlib
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from ltbench.data.progress import SILENT, Reporter
from ltbench.plugin.errors import UserError
from ltbench.plugin.names import leads_out

CHUNK = 1 << 20
MB = 1_000_000
_BLOCK = 512
#: Bytes of a name that file systems take.
STEP = 255
_PADDING = 64 << 20
# What the libraries raise when an archive's own numbers make no sense.
_ABSURD = (ValueError, OverflowError, struct.error, IndexError, KeyError)
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, *_ABSURD)


class BadArchive(UserError):
    """An archive that is cut short or damaged, or that holds what it must not."""


@dataclass(frozen=True)
class Limits:
    """What an archive may grow to, counted while it is unpacked, whatever its headers say.

    Attributes:
        files: number of files and folders.
        bytes: all files together.
        path: characters of one path.
    """

    files: int = 1_000_000
    bytes: int = 200_000_000_000
    path: int = 1000


@dataclass(frozen=True)
class _Member:
    path: str
    is_folder: bool
    size: int
    open: IO[bytes] | None


def unpack(
    archive: Path,
    kind: Literal["tar", "zip"],
    folder: Path,
    reporter: Reporter = SILENT,
    limits: Limits | None = None,
    name: str = "",
) -> dict[str, str]:
    """Unpack into an empty folder.

    Args:
        archive: the file; a tar may be compressed with gzip, bzip2 or xz.
        folder: receives the content; made if missing. Modes, owners and times of the archive are not kept.
        limits: None takes the defaults of :class:`Limits`.
        name: what to call the archive in errors; its file name by default.

    Returns:
        sha256 of each file by its path below ``folder``, with forward slashes.

    Raises:
        BadArchive: the archive is cut short or damaged; a path leaves the folder; it holds a link, a device or the
            like, or the same file twice; or it exceeds the limits. What was unpacked until then is left for the caller
            to remove.
        OSError: a file cannot be written.
    """
    called = name or archive.name
    bounds = limits or Limits()
    folder.mkdir(parents=True, exist_ok=True)
    hashes: dict[str, str] = {}
    total = 0
    seen = 0
    with reporter.task(f"unpacking {called} (MB)", max(1, archive.stat().st_size // MB)) as advance:
        told = 0
        try:
            for member, read in _members(archive, kind, called):
                seen += 1
                if seen > bounds.files:
                    raise BadArchive(f"archive {called} holds more than {bounds.files} files")
                path = _inside(member.path, called, bounds)
                if member.is_folder:
                    (folder / path).mkdir(parents=True, exist_ok=True)
                    continue
                if path in hashes:
                    raise BadArchive(f"archive {called} holds {path!r} twice")
                if total + member.size > bounds.bytes:
                    raise BadArchive(f"archive {called} unpacks to more than {bounds.bytes} bytes")
                assert member.open is not None
                hashes[path], size = _write(member.open, folder / path, bounds.bytes - total, called)
                if size != member.size:
                    raise BadArchive(f"archive {called} is damaged: {path!r} has {size} of {member.size} bytes")
                total += size
                if read // MB > told:
                    advance(read // MB - told)
                    told = read // MB
        except _BROKEN as error:
            raise _broken(called, archive, error) from error
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise BadArchive(f"archive {called} uses one name for a file and a folder ({error.filename})") from error
        except OSError as error:
            # gzip and bzip2 report spoilt data as an error of the system without a number; an offset that makes no
            # sense is an invalid argument, of no file.
            if error.errno is None or (error.errno == errno.EINVAL and error.filename is None):
                raise _broken(called, archive, error) from error
            raise
    return hashes


def _members(archive: Path, kind: str, called: str) -> Iterator[tuple[_Member, int]]:
    """Members in order, each with the bytes of the archive read so far."""
    yield from _tar_members(archive, called) if kind == "tar" else _zip_members(archive, called)


def _tar_members(archive: Path, called: str) -> Iterator[tuple[_Member, int]]:
    with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:*") as tar:
        while (member := tar.next()) is not None:
            if member.isdir():
                yield _Member(member.name, True, 0, None), raw.tell()
            elif member.isreg() and not member.issparse():
                yield _Member(member.name, False, member.size, tar.extractfile(member)), raw.tell()
            else:
                raise BadArchive(f"archive {called} holds {member.name!r}, which is neither a file nor a folder")
            # Else the list of members grows with every file read.
            tar.members = []  # type: ignore[attr-defined]
        # To tarfile an archive that is cut between two files, or whose next header is spoilt, ends there and is well:
        # only the block of zeros that ends a whole one tells.
        assert tar.fileobj is not None
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(_BLOCK) != bytes(_BLOCK):
            raise BadArchive(f"archive {called} is cut short or damaged after {tar.offset} bytes of content")
        # Compressed streams carry their checksum at the very end, behind the padding.
        for _ in range(_PADDING // CHUNK):
            if not tar.fileobj.read(CHUNK):
                return


def _zip_members(archive: Path, called: str) -> Iterator[tuple[_Member, int]]:
    read = 0
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            mode = info.external_attr >> 16
            kind = stat.S_IFMT(mode)
            if info.flag_bits & 0x1:
                raise BadArchive(f"archive {called} is encrypted")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise BadArchive(f"archive {called} holds {info.filename!r}, which is neither a file nor a folder")
            read += info.compress_size
            # filename is mended (separators of this system, NUL bytes); orig_filename is what the archive says.
            if info.is_dir():
                yield _Member(info.orig_filename, True, 0, None), read
                continue
            with opened.open(info) as file:
                yield _Member(info.orig_filename, False, info.file_size, file), read


def _inside(path: str, called: str, limits: Limits) -> str:
    """The path below the folder, or an error where it would leave it."""
    steps = [step for step in path.split("/") if step not in ("", ".")]
    escapes = leads_out(path) or "\\" in path
    # "C:" is a drive where this may run some day, and "name:stream" a hidden part of a file.
    if escapes or any(":" in step for step in steps):
        raise BadArchive(f"archive {called} holds the path {path!r}, which leads out of its folder")
    if len(path) > limits.path:
        raise BadArchive(f"archive {called} holds a path of {len(path)} characters")
    longest = max((len(step.encode("utf-8", "surrogateescape")) for step in steps), default=0)
    if longest > STEP:
        raise BadArchive(f"archive {called} holds a name of {longest} bytes, {STEP} are the most")
    return "/".join(steps)


def _write(file: IO[bytes], target: Path, room: int, called: str) -> tuple[str, int]:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    size = 0
    with target.open("xb") as out:
        while chunk := file.read(CHUNK):
            size += len(chunk)
            if size > room:
                raise BadArchive(f"archive {called} unpacks to more than it may")
            digest.update(chunk)
            out.write(chunk)
    return digest.hexdigest(), size


def _broken(called: str, archive: Path, error: BaseException) -> BadArchive:
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, NotImplementedError):
        return BadArchive(f"archive {called} uses a compression that cannot be read ({reason})")
    return BadArchive(f"archive {called} is cut short or damaged after {archive.stat().st_size} bytes ({reason})")
