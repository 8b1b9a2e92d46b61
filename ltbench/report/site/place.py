"""Putting a whole site in its place: a killed process leaves the old one or the new one, never half of it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ltbench.plugin.errors import Damaged, UserError
from ltbench.plugin.files import explain_os_error
from ltbench.plugin.reading import read_json
from ltbench.plugin.system import exchange, new_file_mode, sync_folder

#: Lies in every site and lists its files.
MARK = "ltbench-site.json"
SCHEMA = 1
_HALF = ".half"
#: What a killed process left is cleared away after this, in seconds: another one may be at work.
_OLD = 3600


def check_place(target: Path) -> None:
    """Refuse a place that holds anything but a site of ours: it would be replaced as a whole.

    Raises:
        UserError: it is a file, or holds a file that no site listed as its own; the file is named.
    """
    other = "ltbench leaderboard --site SOME-OTHER-FOLDER"
    if not target.exists():
        return
    if not target.is_dir():
        raise UserError(f"{target} is a file, and a site is a folder", other)
    found = {
        path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir() or path.is_symlink()
    }
    if not found:
        return
    listed = _listed(target / MARK)
    if listed is None:
        raise UserError(f"{target} is not empty, and no site that ltbench wrote", other)
    strange = sorted(found - listed - {MARK})
    if strange:
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise UserError(f"{target} holds {strange[0]}{more}, which would be lost: the whole folder is replaced", other)


def _listed(mark: Path) -> set[str] | None:
    try:
        document = read_json(mark)
        return {str(name) for name in document["files"]} if document["schema"] == SCHEMA else None
    except (OSError, Damaged, TypeError, KeyError):
        return None


@contextmanager
def replaced(target: Path, version: str) -> Iterator[Path]:
    """A new folder to fill, which takes the place of ``target`` once all is written.

    Args:
        target: an empty folder, a site of ours, or nothing yet; missing parents are made.
        version: of ltbench, for the mark.

    Raises:
        UserError: as :func:`check_place`, or the folder cannot be written; what was there before is intact.
    """
    check_place(target)
    new: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear(target)
        new = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=_HALF, dir=target.parent))
        yield new
        files = sorted(path.relative_to(new).as_posix() for path in new.rglob("*") if path.is_file())
        mark = {"schema": SCHEMA, "ltbench": version, "files": files}
        (new / MARK).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")
        _settle(new)
        _swap(new, target)
    except OSError as error:
        raise explain_os_error(error, str(target.name)) from error
    finally:
        # By now this is what was there before, or what was not finished.
        if new is not None:
            shutil.rmtree(new, ignore_errors=True)


def _settle(folder: Path) -> None:
    """Give files and folders the user's modes, and have them on disk before anything is renamed."""
    mode = new_file_mode()
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(mode | ((mode & 0o444) >> 2))
            continue
        path.chmod(mode)
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def _swap(new: Path, target: Path) -> None:
    if not target.exists():
        os.rename(new, target)
    elif not exchange(new, target):
        # Two steps where the system has none that does both; whoever kills it between them finds the old site beside.
        old = new.with_name(new.name.removesuffix(_HALF) + ".old")
        os.rename(target, old)
        try:
            os.rename(new, target)
        except OSError:
            os.rename(old, target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    sync_folder(target.parent)


def _clear(target: Path) -> None:
    for path in target.parent.glob(f".{target.name}.*{_HALF}"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _OLD:
                shutil.rmtree(path)
