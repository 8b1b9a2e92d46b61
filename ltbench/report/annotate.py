"""A picture with its labels drawn beneath as bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

_WIDTH: Final = (480, 960)
_TALLEST: Final = 1200
_MARGIN: Final = 14
_SIZE: Final = 15
_ROW: Final = 26
_INK, _GREY, _RULE = "#202020", "#606060", "#c8c8c8"
_ABOVE, _BELOW = "#0072b2", "#b8b8b8"


@dataclass(frozen=True)
class Bar:
    """One label.

    Attributes:
        name: the class.
        text: the figure beside the bar.
        share: length of the bar, 0 to 1.
        strong: drawn in colour (present), else in grey.
    """

    name: str
    text: str
    share: float
    strong: bool


def annotated(image: Image, bars: Sequence[Bar], title: str, note: str, threshold: float | None = None) -> Image:
    """The picture with title, bars and a note beneath, RGB, 480 to 960 pixels wide.

    Small pictures are enlarged and large ones reduced; the aspect stays.

    Args:
        image: RGB.
        bars: one a line.
        title: line above the bars.
        note: line below them.
        threshold: a line across the bars at this share; None draws none.
    """
    from PIL import Image as image_module
    from PIL import ImageDraw

    width = min(max(image.width, _WIDTH[0]), _WIDTH[1])
    scale = min(width / image.width, _TALLEST / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    panel = 3 * _MARGIN + 2 * _ROW + _ROW * len(bars)
    canvas = image_module.new("RGB", (width, size[1] + panel), "white")
    canvas.paste(image.convert("RGB").resize(size, image_module.Resampling.LANCZOS), ((width - size[0]) // 2, 0))
    draw = ImageDraw.Draw(canvas)
    font, small = _font(_SIZE), _font(_SIZE - 2)
    top = size[1] + _MARGIN
    draw.text((_MARGIN, top), _cut(title, small, width - 2 * _MARGIN), fill=_GREY, font=small)
    top += _ROW
    left, right = _MARGIN + round(0.32 * width), width - _MARGIN - round(0.13 * width)
    if threshold is not None and bars:
        at = left + round((right - left) * threshold)
        draw.line((at, top, at, top + _ROW * len(bars)), fill=_RULE)
    for number, bar in enumerate(bars):
        middle = top + _ROW * number + _ROW // 2
        draw.text((left - 10, middle), _cut(bar.name, font, left - 10 - _MARGIN), fill=_INK, font=font, anchor="rm")
        end = left + max(1, round((right - left) * min(1.0, max(0.0, bar.share))))
        draw.rectangle((left, middle - 7, end, middle + 7), fill=_ABOVE if bar.strong else _BELOW)
        draw.text((width - _MARGIN, middle), bar.text, fill=_INK if bar.strong else _GREY, font=font, anchor="rm")
    bottom = top + _ROW * len(bars) + _MARGIN
    draw.text((_MARGIN, bottom), _cut(note, small, width - 2 * _MARGIN), fill=_GREY, font=small)
    return canvas


@lru_cache(maxsize=4)
def _font(size: int) -> FreeTypeFont:
    """The face that matplotlib ships: it has letters of many scripts, Pillow's own has few."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def _cut(text: str, font: FreeTypeFont, width: int) -> str:
    """The text, its end left out where it is wider than that."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
