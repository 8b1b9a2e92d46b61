"""Reading the lists that authors released, in the forms they use.

* one id a line (``2008_000023``);
* an image and class numbers: ``VOCdevkit/VOC2012/JPEGImages/2008_000023.jpg 14 4 19`` or ``2008_000008.jpg,12``, with
  or without spaces after the comma, with or without a newline at the end;
* an image and its caption, one space between.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ltbench.plugin.errors import UserError
from ltbench.plugin.reading import read_text_file

#: Digits of a number that is read as one.
DIGITS = 18
_FLICKR = re.compile(r"^\d+_(\d+)_[0-9a-f]+_m$")


@dataclass(frozen=True)
class Line:
    """One line of a list: the image as written, and what follows it."""

    image: str
    rest: str


def read_lines(path: Path) -> list[Line]:
    """Lines of a published list.

    Raises:
        UserError: the file is no text or holds no line.
    """
    text = read_text_file(path, hint=f"remove {path} and type it again")
    found = []
    for line in text.splitlines():
        if line.strip():
            image, _, rest = line.replace(",", " ", 1).partition(" ") if _comma_first(line) else line.partition(" ")
            found.append(Line(image.strip(), rest.strip()))
    if not found:
        raise UserError(f"{path.name} is empty", f"remove {path} and type it again")
    return found


def _comma_first(line: str) -> bool:
    """A comma ends the image's name where no space comes before it."""
    comma, space = line.find(","), line.find(" ")
    return comma >= 0 and (space < 0 or comma < space)


def class_numbers(lines: Sequence[Line], classes: int, name: str) -> list[tuple[int, ...]]:
    """Class numbers of each line.

    Raises:
        UserError: something else stands there, or a number that is no class.
    """
    found = []
    for place, line in enumerate(lines, 1):
        words = line.rest.split()
        if not all(word.isdecimal() and len(word) <= DIGITS and int(word) < classes for word in words):
            raise UserError(
                f"{name} line {place} has other things than class numbers below {classes}: {line.rest[:40]!r}"
            )
        found.append(tuple(int(word) for word in words))
    return found


def keys_of(image: str) -> tuple[str, ...]:
    """Ids that a data set may have for an image as a list writes it, best first."""
    base = image.rpartition("/")[2]
    stem = base.rpartition(".")[0] or base
    # COCO's images are called by a number: plain in lists, padded in 2017, padded and prefixed in 2014.
    number = stem.removeprefix("COCO_train2014_").removeprefix("COCO_val2014_")
    padded = (f"{number}.jpg", f"{int(number):012d}.jpg") if number.isdecimal() and len(number) <= DIGITS else ()
    flickr = _FLICKR.match(stem)
    return (image, base, stem, *padded, *([f"flickr:{flickr[1]}"] if flickr else []))


def row_numbers(lines: Sequence[Line], ids: Sequence[str], name: str, where: str) -> list[int]:
    """Row number of each line's image.

    Args:
        ids: of all rows of the part; the one of ``actor/0001_2124494179.jpg`` is known by its Flickr number as well.
            NUS-WIDE lists a few photographs in two folders: their number stands for each in turn.
        name: of the list, ``where``: what lacks an image, for messages.

    Raises:
        UserError: images are missing, or listed twice.
    """
    position: dict[str, list[int]] = {}
    for row, row_id in enumerate(ids):
        flickr = _flickr_number(row_id)
        for name_of_row in (row_id, *([f"flickr:{flickr}"] if flickr else [])):
            position.setdefault(name_of_row, []).append(row)
    used: Counter[str] = Counter()
    rows: list[int] = []
    missing: list[str] = []
    for line in lines:
        key = next((key for key in keys_of(line.image) if key in position), None)
        if key is None:
            missing.append(line.image)
        else:
            # Beyond the last one it is a repetition, which is refused below.
            rows.append(position[key][min(used[key], len(position[key]) - 1)])
            used[key] += 1
    if missing:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise UserError(f"{where} lacks {len(missing)} of the {len(lines)} images that {name} lists: {shown}")
    if len(set(rows)) != len(rows):
        raise UserError(f"{name} lists an image twice")
    return rows


def _flickr_number(row_id: str) -> str | None:
    """Number of a photograph in NUS-WIDE's ``<word>/<place>_<Flickr number>.jpg``."""
    stem = row_id.rpartition("/")[2].rpartition(".")[0]
    place, _, number = stem.rpartition("_")
    return number if "/" in row_id and place.isdecimal() and number.isdecimal() else None
