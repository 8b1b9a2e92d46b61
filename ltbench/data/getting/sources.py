"""Files that are fetched, not shipped: where each comes from, its sha256 and its licence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

HUB = "https://huggingface.co"
"""The hub that most weights lie on."""
Unpack = Literal["tar", "zip"]

_GITHUB = re.compile(r"^github:(?P<owner>[\w.-]+)/(?P<repo>[\w.-]+)@(?P<commit>[0-9a-f]{40}):(?P<path>[^\\\0]+)$")
_PACKAGE = re.compile(r"^package:(?P<name>[\w.-]+)==(?P<version>[\w.]+):(?P<path>[^\\\0]+)$")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True)
class Source:
    """One file at a fixed place.

    Attributes:
        name: short name for people, e.g. ``voc_lt_train.txt``; no slashes.
        origin: ``github:<owner>/<repo>@<commit>:<path>`` with the full commit, an ``https`` (``http``) address, or
            ``package:<name>==<version>:<path>`` for a file that a Python package installs.
        sha256: hex digest of the file, or None where it is not known; then ``unpinned`` says why.
        size: bytes; exact where ``sha256`` is pinned, else what people are told before the download; None if unknown.
        licence: licence or terms of use, one line.
        unpack: kind of archive, or None for a plain file. Compression of a tar is found out by itself.
        unpinned: why there is no ``sha256``.

    Raises:
        ValueError: an argument is malformed.
    """

    name: str
    origin: str
    sha256: str | None
    size: int | None
    licence: str
    unpack: Unpack | None = None
    unpinned: str = ""

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or "\\" in self.name or self.name.startswith("."):
            raise ValueError(f"source name {self.name!r} must be a file name")
        if self.sha256 is not None and not _SHA256.match(self.sha256):
            raise ValueError(f"source {self.name}: {self.sha256!r} is no sha256 in lower-case hex")
        if (self.sha256 is None) != bool(self.unpinned):
            raise ValueError(f"source {self.name}: either a sha256, or the reason why there is none")
        if self.size is not None and self.size < 0:
            raise ValueError(f"source {self.name}: size {self.size} is negative")
        if self.unpack not in (None, "tar", "zip"):
            raise ValueError(f"source {self.name}: cannot unpack {self.unpack!r}")
        _ = self.layout  # refuses an origin that names no place

    @property
    def layout(self) -> str:
        """Where the file lies below a mirror, with forward slashes.

        ``github/<owner>/<repo>/<commit>/<path>`` for files on GitHub, ``package/<name>/<version>/<path>`` for those of
        packages, ``web/<host>/<path>`` for others.

        Raises:
            ValueError: the origin is malformed, or its path leaves its folder.
        """
        found, package = _GITHUB.match(self.origin), _PACKAGE.match(self.origin)
        if found:
            top, path = "github/{owner}/{repo}/{commit}".format(**found.groupdict()), found["path"]
        elif package:
            top, path = "package/{name}/{version}".format(**package.groupdict()), package["path"]
        else:
            parts = urlsplit(self.origin)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
                raise ValueError(f"source {self.name}: origin {self.origin!r} is neither github:… nor a plain address")
            # A colon is no character for a folder's name everywhere.
            port = f"_{parts.port}" if parts.port else ""
            top, path = f"web/{parts.hostname}{port}", unquote(parts.path).lstrip("/")
        steps = f"{top}/{path}".split("/")
        if any(step in ("", ".", "..") or "\\" in step or "\0" in step for step in steps):
            raise ValueError(f"source {self.name}: the path of {self.origin!r} is not a plain one")
        return f"{top}/{path}"

    @property
    def package(self) -> tuple[str, str, str] | None:
        """Name and version of the Python package that installs it, and its path there; None for other files."""
        found = _PACKAGE.match(self.origin)
        return None if found is None else (found["name"], found["version"], found["path"])

    @property
    def url(self) -> str:
        """The address it is downloaded from; empty for a file that comes with a package."""
        if self.package is not None:
            return ""
        found = _GITHUB.match(self.origin)
        if not found:
            return self.origin
        path = quote(found["path"])
        return f"https://raw.githubusercontent.com/{found['owner']}/{found['repo']}/{found['commit']}/{path}"
