"""Writing files so that a killed process or a full disk never harms what is already there."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import platformdirs

from ltbench.plugin.errors import DiskFull, UserError
from ltbench.plugin.system import new_file_mode, sync_folder

_PREFIX, _SUFFIX = ".", ".tmp"

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_LONG = {errno.ENAMETOOLONG}


def explain_os_error(error: OSError, what: str) -> UserError:
    """Turn an operating-system error into one line with the next thing to do."""
    if error.errno in _FULL:
        return DiskFull(f"the disk is full: {what} was not written, nothing already written was touched", "free space")
    if error.errno in _DENIED:
        return UserError(f"no permission to write {what}", _another_folder(error))
    if error.errno in _LONG:
        return UserError(f"the name of {what[:60]} is too long for this file system", "choose shorter names")
    return UserError(f"could not write {what}: {error.strerror or error}", "ltbench doctor")


def _another_folder(error: OSError) -> str:
    """What to type instead: the variable of the cache where it is the cache that cannot be written."""
    name = error.filename
    cache = os.environ.get("LTBENCH_CACHE") or platformdirs.user_cache_dir("ltbench")
    inside = isinstance(name, str) and Path(name).absolute().is_relative_to(Path(cache).expanduser().absolute())
    return "LTBENCH_CACHE=DIR, a folder that you may write" if inside else "choose another folder, e.g. --out DIR"


def write_with(path: Path, writer: Callable[[BinaryIO], None]) -> None:
    """Write ``path`` atomically: temporary file beside it, fsync, rename.

    Args:
        path: where the file ends up; missing parent folders are made.
        writer: receives the open binary file.

    Raises:
        UserError: the folder is read-only or the disk is full; the old file, if any, is intact.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{_PREFIX}{path.name}.", suffix=_SUFFIX, dir=path.parent)
    except OSError as error:
        raise explain_os_error(error, path.name) from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            writer(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(new_file_mode())
        os.replace(temporary, path)
    except OSError as error:
        raise explain_os_error(error, path.name) from error
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes were writing in a folder and below it; only for who holds the folder's lock."""
    for path in folder.rglob(f"{_PREFIX}*{_SUFFIX}"):
        if path.is_file():
            path.unlink(missing_ok=True)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write bytes or UTF-8 text atomically; see :func:`write_with`."""
    data = content.encode("utf-8") if isinstance(content, str) else content

    def write(file: BinaryIO) -> None:
        file.write(data)

    write_with(path, write)
