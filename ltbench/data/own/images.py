"""Looking at every image of a folder once: it is there, it decodes, and this is its hash."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

from ltbench.data.progress import SILENT, Reporter
from ltbench.plugin.errors import UserError

Seen = tuple[str, tuple[int, int]]


def check_images(
    folder: Path, files: Sequence[str], reporter: Reporter = SILENT
) -> tuple[dict[str, Seen], dict[str, str]]:
    """Decode and hash images.

    Args:
        folder: folder of images.
        files: paths below it.

    Returns:
        By file: (sha256, (bytes, time stamp in ns)) of the good ones, and what is wrong with the others, one line each.

    Raises:
        UserError: the folder does not exist.
    """
    if not folder.is_dir():
        raise UserError(f"folder of images {folder} does not exist", "--images DIR")
    found: dict[str, Seen] = {}
    problems: dict[str, str] = {}
    with reporter.task("checking images", len(files)) as advance:
        for file in files:
            path = folder / file
            try:
                status = path.stat()
                content = path.read_bytes()
            except FileNotFoundError:
                problems[file] = f"image {file!r} is missing"
            except OSError as error:
                problems[file] = f"image {file!r} cannot be read ({error.strerror})"
            else:
                problem = undecodable(content)
                if problem:
                    problems[file] = f"image {file!r} cannot be decoded ({problem})"
                else:
                    stamp = (status.st_size, status.st_mtime_ns)
                    found[file] = (hashlib.sha256(content).hexdigest(), stamp)
            advance(1)
    return found, problems


def undecodable(content: bytes) -> str:
    """Why bytes are no whole image; empty when they are. Decodes all of it: a header alone does not show a cut file."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except UnidentifiedImageError:
        return "no image format that Pillow knows"
    except Image.DecompressionBombError as error:
        return str(error)
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as error:
        return " ".join(str(error).split()) or type(error).__name__
    return ""
