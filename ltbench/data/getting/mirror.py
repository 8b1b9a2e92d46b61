"""Mirrors: a folder or a web address that is asked before a file's origin.

``LTBENCH_MIRROR`` names it. Its layout is that of :attr:`ltbench.data.getting.sources.Source.layout`:
``github/<owner>/<repo>/<commit>/<path>`` and ``web/<host>/<path>``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from ltbench.plugin.errors import UserError

VARIABLE = "LTBENCH_MIRROR"


@dataclass(frozen=True)
class Mirror:
    """One mirror; exactly one of the two is set.

    Attributes:
        folder: a folder on this machine.
        address: web address of such a folder, without a final slash.
    """

    folder: Path | None = None
    address: str = ""

    def __str__(self) -> str:
        return str(self.folder) if self.folder is not None else self.address

    def path(self, layout: str) -> Path | None:
        """The file in a mirror folder; None when the mirror is no folder or lacks it.

        Args:
            layout: path below the mirror, with forward slashes.
        """
        if self.folder is None:
            return None
        found = self.folder / Path(*layout.split("/"))
        return found if found.is_file() else None

    def url(self, layout: str) -> str:
        """The file's address in a mirror on the web; empty when the mirror is a folder."""
        return f"{self.address}/{quote(layout)}" if self.address else ""


def mirror() -> Mirror | None:
    """The mirror that ``LTBENCH_MIRROR`` names, if any.

    Raises:
        UserError: it names a folder that does not exist, or an address that is none.
    """
    value = os.environ.get(VARIABLE, "").strip()
    if not value:
        return None
    parts = urlsplit(value)
    if parts.scheme in ("http", "https"):
        if not parts.hostname or parts.query or parts.fragment:
            raise UserError(f"{VARIABLE}={value} is no plain web address", f"{VARIABLE}=https://host/folder")
        return Mirror(address=value.rstrip("/"))
    if parts.scheme == "file":
        value = url2pathname(parts.path)
    folder = Path(value).expanduser()
    if not folder.is_dir():
        raise UserError(f"{VARIABLE} names {value}, which is no folder", f"unset {VARIABLE}, or name another folder")
    return Mirror(folder=folder)


def nearby(layout: str) -> Path | None:
    """A file in the mirror, where that is a folder that has it.

    Raises:
        UserError: as :func:`mirror`.
    """
    known = mirror()
    return known.path(layout) if known is not None else None
