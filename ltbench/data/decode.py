"""The one reader of pictures: what is checked, trained on and predicted is opened here, and so looks the same.

What a picture is, its content says, not its name. A user's own picture becomes RGB as a viewer shows it: turned as the
camera noted, 16 bits and floats scaled to 8, what is transparent laid over white, the first of several frames. Pictures
of published data sets are read as their papers read them, by Pillow's ``convert("RGB")`` alone.

A user's own JPEG that is about to be resized as a whole need not be decoded at full size: libjpeg decodes it at a half,
a quarter or an eighth (Pillow's ``draft``), which gives each pixel the mean of those it stands for.
"""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

#: Contents that are read, by Pillow's names. Others that it knows are drawings, videos or guesses.
FORMATS: Final = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "AVIF", "ICO", "HEIF")
#: Most pixels of a picture, as Pillow has it; guards against small files that fill the memory.
MOST_PIXELS: Final = 178_956_970
VARIABLE: Final = "LTBENCH_MAX_PIXELS"
_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
#: Contents that libjpeg decodes.
_REDUCED: Final = ("JPEG", "MPO")
_TRANSPARENT: Final = ("RGBA", "RGBa", "LA", "La", "PA")
_ORIENTATION: Final = 0x0112
#: Beginnings of files that are taken for pictures, what they are, and what to do about them.
_HEIC: Final = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_OTHERS: Final = (
    (re.compile(rb"....ftyp(avif|avis)", re.DOTALL), "AVIF, which this Pillow does not read", "pip install -U pillow"),
    (re.compile(rb"version https://git-lfs"), "the pointer of a file in Git LFS, not the file", "git lfs pull"),
    (re.compile(rb"\s*(<!doctype html|<html)", re.IGNORECASE), "a web page, no picture", "download the picture again"),
    (re.compile(rb"%PDF"), "PDF, no picture", "convert it to PNG"),
    (re.compile(rb"\s*(<\?xml[^>]*>\s*(<!--.*?-->\s*)?)?(<!DOCTYPE svg.*?>\s*)?<svg", re.DOTALL), "SVG, a drawing",
     "convert it to PNG"),
    (re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL "), "JPEG XL", "convert it to PNG"),
    (re.compile(rb"....ftyp", re.DOTALL), "a video, no picture", "take single frames"),
    (re.compile(rb"8BPS"), "a Photoshop document", "convert it to PNG"),
    (re.compile(rb"\x1aE\xdf\xa3|RIFF....AVI ", re.DOTALL), "a video, no picture", "take single frames"),
)  # fmt: skip


class Undecodable(Exception):
    """Content that is no picture that can be used.

    Args:
        why: one phrase.
        hint: what to do about it; empty where a file can only be replaced.
    """

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.kind = why.partition(",")[0]
        self.why = why
        self.hint = hint

    @property
    def whole(self) -> str:
        """Why, and what to do, as one phrase."""
        return f"{self.why}; {self.hint}" if self.hint else self.why


@dataclass(frozen=True)
class Decoded:
    """A picture, and what was done to it.

    Attributes:
        image: RGB.
        turned: its file notes a turn.
        scaled: it had more than 8 bits a channel, or floats.
        dim: scaled, and no value reached a sixteenth of its range.
        frames: it has several frames or pages.
        pasted: parts of it are transparent.
    """

    image: Image
    turned: bool = False
    scaled: bool = False
    dim: bool = False
    frames: bool = False
    pasted: bool = False


def decode(source: Path | bytes, *, published: bool = False, least: int | None = None) -> Decoded:
    """Decode a whole picture as RGB.

    Args:
        source: a file, or its bytes.
        published: read as papers read their data sets: neither turned, nor scaled, nor laid over white, nor reduced.
        least: pixels that both sides of a JPEG keep at least where it is decoded at a half, a quarter or an eighth of
            its size; a JPEG of less than twice that, and other formats, are as they are. None reduces nothing.

    Raises:
        Undecodable: the content is no picture, is cut off, is larger than the limit, or has values without a range.
        FileNotFoundError: there is no such file.
    """
    from PIL import Image as image_module
    from PIL import UnidentifiedImageError

    opened = io.BytesIO(source) if isinstance(source, bytes) else source
    most = max_pixels()
    if most > MOST_PIXELS:
        # Pillow refuses at twice this number and warns at once; the limit itself is compared below.
        image_module.MAX_IMAGE_PIXELS = max(image_module.MAX_IMAGE_PIXELS or 0, most)
    try:
        with image_module.open(opened, formats=_formats()) as image:
            if image.width * image.height > most:
                raise _too_large(image.width * image.height, most)
            if published:
                return Decoded(image.convert("RGB"))
            if least is not None and image.format in _REDUCED and min(image.size) >= 2 * least:
                image.draft(None, (least, least))
            return _as_shown(image)
    except FileNotFoundError:
        raise
    except UnidentifiedImageError as error:
        raise _named(source) from error
    except image_module.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        raise _too_large(int(pixels[0]) if pixels else most + 1, most) from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, MemoryError) as error:
        raise Undecodable(" ".join(str(error).split()) or type(error).__name__) from error


def shown(image: Image) -> Image:
    """A picture that is in memory already as RGB, by the rules of :func:`decode`.

    Raises:
        UserError: its values have no range that is known.
    """
    try:
        return _as_shown(image).image
    except Undecodable as error:
        raise UserError(
            f"a picture cannot be used: {error.why}", error.hint or "give it in 8 bits a channel"
        ) from error


def looks_like_picture(path: Path) -> bool:
    """Whether a file begins as a picture does, whatever its name; those that only another library reads count too.

    A file that cannot be opened counts, so that whoever reads it says why.
    """
    from PIL import Image as image_module
    from PIL import UnidentifiedImageError

    try:
        with image_module.open(path, formats=_formats()):
            return True
    except UnidentifiedImageError:
        return _named(path).kind in ("HEIC", "AVIF", "JPEG XL")
    except (image_module.DecompressionBombError, OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError):
        return True


def max_pixels() -> int:
    """Most pixels of a picture: ``LTBENCH_MAX_PIXELS``, as in ``500M``, else that of Pillow.

    Raises:
        UserError: the variable is no number.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return MOST_PIXELS
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)", text.upper())
    if match is None or float(match[1]) <= 0:
        raise UserError(f"{VARIABLE}={text} is no number of pixels", f"{VARIABLE}=500M")
    return int(float(match[1]) * _UNITS[match[2]])


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """Those of the list that this Pillow reads; HEIF where the extra is installed."""
    from PIL import Image as image_module

    try:
        import pillow_heif
    except ImportError:
        pass
    else:
        pillow_heif.register_heif_opener()
    image_module.init()
    return tuple(name for name in FORMATS if name in image_module.OPEN)


def _too_large(pixels: int, most: int) -> Undecodable:
    # Rounded up to the next ten megapixels, so that what the hint says is enough.
    enough = (pixels // 10**7 + 1) * 10
    return Undecodable(f"{pixels:,} pixels, the limit is {most:,}", f"{VARIABLE}={enough}M raises it")


def _named(source: Path | bytes) -> Undecodable:
    """What a content is that is no picture."""
    if isinstance(source, bytes):
        head = source[:512]
    else:
        with source.open("rb") as file:
            head = file.read(512)
    if not head:
        return Undecodable("0 bytes")
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC:
        return Undecodable("HEIC, which Pillow alone does not read", "pip install 'ltbench[heic]'")
    for pattern, what, hint in _OTHERS:
        if pattern.match(head):
            return Undecodable(what, hint)
    return Undecodable("no image format that is read")


def _as_shown(image: Image) -> Decoded:
    """A user's picture as a viewer shows it."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
    }  # fmt: skip
    frames = getattr(image, "n_frames", 1) > 1 and image.format != "MPO"
    noted = image.getexif().get(_ORIENTATION, 1)
    image.load()
    # Pillow turns TIFF by itself while loading, and then notes no turn any more.
    left = image.getexif().get(_ORIENTATION, 1)
    scaled = image.mode == "F" or image.mode.startswith("I")
    shown, dim, pasted = image, False, False
    if scaled:
        shown, dim = _scaled(image)
    elif image.mode in _TRANSPARENT or "transparency" in image.info:
        shown, pasted = _over_white(image)
    shown = shown.convert("RGB")
    if left in turns:
        shown = shown.transpose(turns[left])
    return Decoded(shown, noted in turns, scaled, dim, frames, pasted)


def _scaled(image: Image) -> tuple[Image, bool]:
    """One channel of integers or floats as 8 bits, by the range of its type and never by its own values.

    Floats from 0 to 1 fill the range; those up to 255 are taken as they are. Integers of 16 bits, also where Pillow
    widens them to 32, fill it from 0 to 65535.
    """
    import numpy as np
    from PIL import Image as image_module

    values = np.asarray(image)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise Undecodable("values that are not finite")
    whole = values.dtype.kind in "iu"
    top = 65535.0 if whole else 1.0 if high <= 1 else 255.0
    if low < 0 or high > top:
        ranges = "integers from 0 to 65535" if whole else "floats from 0 to 1, or to 255"
        raise Undecodable(f"values from {low:g} to {high:g}, which have no known range", f"store {ranges}")
    eight = np.rint(values.astype(np.float64) * (255.0 / top)).astype(np.uint8)
    return image_module.fromarray(eight), high * 16 < top


def _over_white(image: Image) -> tuple[Image, bool]:
    """What is transparent laid over white, and whether anything is."""
    from PIL import Image as image_module

    clear = image.convert("RGBA")
    least = clear.getchannel("A").getextrema()[0]
    if least == 255:
        return clear, False
    white = image_module.new("RGBA", clear.size, (255, 255, 255, 255))
    white.alpha_composite(clear)
    return white, True
