"""A toy data set of six photographs in two archives, a toy list, and a reporter that remembers: what tests of getting
data share."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from small_web import Web

from ltbench.data.base import DataRoot
from ltbench.data.formats.layouts import Layout
from ltbench.data.getting.bring import bring
from ltbench.data.getting.needs import Needs, Piece
from ltbench.data.getting.plan import Item, plan
from ltbench.data.getting.sources import Source

LAYOUT = Layout("toy", "the toy set", ("toykit/TOY", "TOY"), ("lists/train.txt",), "toykit/TOY")
NO_HASH = "made for a test"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TEXT = b"2008_000008 1 0\n2008_000015 0 1\n" * 40_000


def photograph(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (24, 16), (shade, 40, 90)).save(buffer, "JPEG")
    return buffer.getvalue()


FILES = {f"images/{row:03}.jpg": photograph(20 * row) for row in range(6)}
TRAIN = {"lists/train.txt": b"000\n001\n002\n003\n", **{name: FILES[name] for name in sorted(FILES)[:4]}}
TEST = {"lists/test.txt": b"004\n005\n", **{name: FILES[name] for name in sorted(FILES)[4:]}}


class Lines:
    """A reporter that keeps what is said and how far jobs went."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.jobs: dict[str, list[int]] = {}

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        self.jobs[label] = [0, total]
        yield lambda n: self.jobs[label].__setitem__(0, self.jobs[label][0] + n)

    def line(self, text: str) -> None:
        self.said.append(text)


def lines(root: DataRoot) -> Lines:
    """The reporter of a root that a fixture made."""
    assert isinstance(root.reporter, Lines)
    return root.reporter


def make(content: bytes, origin: str, **changed: Any) -> Source:
    """A list with this content, pinned."""
    pinned = Source("list.txt", origin, hashlib.sha256(content).hexdigest(), len(content), "CC0")
    return replace(pinned, **changed)


def on_github(content: bytes = TEXT, path: str = "data/voc/list.txt") -> Source:
    return make(content, f"github:acme/LTs.x@{COMMIT}:{path}")


def into_mirror(folder: Path, source: Source, content: bytes) -> Path:
    place = folder / source.layout
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    return place


def as_tar(content: dict[str, bytes], top: str = "toykit/TOY/", mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, data in content.items():
            info = tarfile.TarInfo(top + name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def piece(web: Web, part: str, raw: bytes, pinned: bool = True, **changed: Any) -> Piece:
    """A piece of the toy set, whose archive the server has."""
    name = f"{part}.tar"
    web.files[f"/{name}"] = raw
    digest = hashlib.sha256(raw).hexdigest() if pinned else None
    source = Source(name, web.url(f"/{name}"), digest, len(raw), "CC0", "tar", "" if pinned else NO_HASH)
    made = Piece(name, LAYOUT, (("images",), (f"lists/{part}.txt",)), (part,), source, "toykit/TOY", licence="CC0")
    return replace(made, **changed)


def home(root: DataRoot) -> Path:
    """Where the toy set belongs."""
    return root.home / "toykit" / "TOY"


def tree(folder: Path) -> dict[str, bytes]:
    """Content by path, without our notes."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if not name.startswith(".ltbench")}


def prepare(needs: Needs, root: DataRoot, keep_archives: bool = False, repair: bool = False) -> list[Item]:
    """The way from what is needed to what was brought, as ``ltbench data prepare`` goes it."""
    return bring(plan(needs, root, repair), root, keep_archives)
