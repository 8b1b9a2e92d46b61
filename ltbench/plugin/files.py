"""Writing files so that a killed process or a full disk never harms what is already there."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ltbench.plugin.errors import UserError
from ltbench.plugin.system import new_file_mode, sync_folder

_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


def explain_os_error(error: OSError, what: str) -> UserError:
    """Turn an operating-system error into one line with the next thing to do."""
    if error.errno in _FULL:
        return UserError(f"the disk is full: {what} was not written, nothing already written was touched", "free space")
    if error.errno in _DENIED:
        return UserError(f"no permission to write {what}", "choose another folder, e.g. ltbench run --out DIR …")
    return UserError(f"could not write {what}: {error.strerror or error}", "ltbench doctor")


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
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
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


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write bytes or UTF-8 text atomically; see :func:`write_with`."""
    data = content.encode("utf-8") if isinstance(content, str) else content

    def write(file: BinaryIO) -> None:
        file.write(data)

    write_with(path, write)
