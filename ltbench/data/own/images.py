"""Looking at every image of a folder once: it is there, it decodes, this is its hash and how it looks from afar."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from ltbench.data.decode import Undecodable, decode
from ltbench.data.own.file_names import Names
from ltbench.data.progress import SILENT, Reporter
from ltbench.plugin.errors import UserError
from ltbench.plugin.system import usable_cores

if TYPE_CHECKING:
    from PIL.Image import Image

#: Side of the thumbnails that pictures are compared by.
SIDE: Final = 16


@dataclass(frozen=True)
class Seen:
    """A good image.

    Attributes:
        sha256: of its bytes.
        stamp: its bytes, and its time stamp in ns.
        thumbnail: uint8 [16, 16, 3], what it shows from afar.
        turned, scaled, dim, frames, pasted: what was done to read it (see ``ltbench.data.decode.Decoded``).
    """

    sha256: str
    stamp: tuple[int, int]
    thumbnail: npt.NDArray[np.uint8]
    turned: bool = False
    scaled: bool = False
    dim: bool = False
    frames: bool = False
    pasted: bool = False


def check_images(
    folder: Path, files: Sequence[str], reporter: Reporter = SILENT
) -> tuple[dict[str, Seen], dict[str, str]]:
    """Decode and hash images, with the reader that training and predicting use.

    Args:
        folder: folder of images.
        files: paths below it.

    Returns:
        By file: the good ones, and what is wrong with the others, one line each.

    Raises:
        UserError: the folder does not exist.
    """
    if not folder.is_dir():
        raise UserError(f"folder of images {folder} does not exist", "--images DIR")
    found: dict[str, Seen] = {}
    problems: dict[str, str] = {}
    names = Names(folder)
    with reporter.task("checking images", len(files)) as advance:
        for file, seen in _in_order(folder, files):
            if isinstance(seen, Seen):
                found[file] = seen
            else:
                problems[file] = seen or f"image {file!r} is missing{names.near(file)}"
            advance(1)
    return found, problems


def _in_order(folder: Path, files: Sequence[str]) -> Iterator[tuple[str, Seen | str]]:
    """Answers in the order of the files; a few are looked at ahead, so that memory does not grow with their number."""
    cores = usable_cores()
    ahead = 4 * cores
    with ThreadPoolExecutor(cores) as pool:
        todo = iter(files)
        waiting = [(file, pool.submit(_look, folder, file)) for file in islice(todo, ahead)]
        while waiting:
            file, answer = waiting.pop(0)
            yield file, answer.result()
            waiting.extend((each, pool.submit(_look, folder, each)) for each in islice(todo, 1))


def _look(folder: Path, file: str) -> Seen | str:
    """One image, or what is wrong with it; empty where it is missing."""
    path = folder / file
    try:
        status = path.stat()
        content = path.read_bytes()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"image {file!r} cannot be read ({error.strerror})"
    try:
        read = decode(content)
    except Undecodable as error:
        return f"image {file!r} cannot be decoded ({error.whole})"
    return Seen(
        hashlib.sha256(content).hexdigest(),
        (status.st_size, status.st_mtime_ns),
        thumbnail(read.image),
        **{name: getattr(read, name) for name in ("turned", "scaled", "dim", "frames", "pasted")},
    )


def thumbnail(image: Image) -> npt.NDArray[np.uint8]:
    """What an RGB image shows from afar: means over 16 x 16 fields, uint8 [16, 16, 3]."""
    from PIL.Image import Resampling

    return np.asarray(image.resize((SIDE, SIDE), Resampling.BOX), dtype=np.uint8)


def reading_notes(seen: Sequence[Seen]) -> list[str]:
    """What a user should know of how pictures are read, one line a kind."""
    told = (
        ("turned", "turned upright, as their camera noted"),
        ("scaled", "scaled to 8 bits, from 16 or from floats"),
        ("dim", "nearly black: no value reaches a sixteenth of what their type can hold; scale them before"),
        ("pasted", "laid over white, as parts of them are transparent"),
        ("frames", "read by their first frame or page only"),
    )
    counts = [(sum(getattr(one, name) for one in seen), text) for name, text in told]
    return [f"{count} of {len(seen)} images are {text}" for count, text in counts if count]


def undecodable(content: bytes) -> str:
    """Why bytes of a published picture are no whole image; empty when they are. Decodes all of it: a header alone does
    not show a cut file.
    """
    try:
        decode(content, published=True)
    except Undecodable as error:
        return error.whole
    return ""
