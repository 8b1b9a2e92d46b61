"""What joins the labels of one cell: bars, or whatever shows by names that recur."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

BAR: Final = "|"
LIST: Final = "a list"
_SIGNS: Final = (";", ",", "/", "&", "+", " ")
#: Share of the names between separators that must stand in other cells as well, for a separator to be believed.
_BELIEVED: Final = 0.5


def guess_join(cells: Sequence[str], known: Collection[str] | None = None) -> str:
    """What joins the labels of these cells.

    A bar wherever there is one; JSON or Python lists where all cells are such; otherwise the first sign that splits
    cells into names which stand in other cells too. Blanks are part of many names: they count only where every name
    that they would make recurs.

    Args:
        cells: of the column of labels, stripped.
        known: class names, where a user gave them: what splits cells into these is believed at once.
    """
    filled = sorted({cell for cell in cells if cell})
    if filled and all(cell[0] == "[" and cell[-1] == "]" for cell in filled):
        return LIST
    if any(BAR in cell for cell in filled):
        return BAR
    if known is not None and all(cell in known for cell in filled):
        return BAR
    for sign in _SIGNS:
        joined = [cell for cell in filled if sign in cell]
        if not joined:
            continue
        if known is not None:
            if all(part in known for cell in joined for part in split_cell(cell, sign)):
                return sign
        elif recurring(filled, sign) >= (1.0 if sign == " " else _BELIEVED):
            return sign
    return BAR


def recurring(cells: Sequence[str], sign: str) -> float:
    """Share of the names in joined cells that stand in other, different cells too; 0 for fewer than two such cells."""
    distinct = sorted({cell for cell in cells if cell})
    stand = Counter(part for cell in distinct for part in set(split_cell(cell, sign)))
    parts = [part for cell in distinct if sign in cell for part in split_cell(cell, sign)]
    if sum(sign in cell for cell in distinct) < 2 or not all(parts):
        return 0.0
    return sum(stand[part] > 1 for part in parts) / len(parts)


def separators_inside(names: Sequence[str]) -> str:
    """The sign that seems to join several classes in these names; empty where none does."""
    for sign in _SIGNS[:-1]:
        if any(sign in name for name in names) and recurring(names, sign) >= _BELIEVED:
            return sign
    return ""


def split_cell(cell: str, sign: str) -> list[str]:
    """Names in a cell, stripped, in order.

    Raises:
        ValueError: a list that cannot be read.
    """
    if not cell:
        return []
    if sign == LIST:
        try:
            value = ast.literal_eval(cell)
        except (SyntaxError, ValueError):
            # Lists as numpy prints them, or without quotes.
            value = re.split(r"[,\s]+", cell[1:-1].strip()) if "'" not in cell and '"' not in cell else None
        if not isinstance(value, list):
            raise ValueError(f"{cell} is no list of names")
        return [str(one).strip() for one in value if str(one).strip()]
    if sign == " ":
        return cell.split()
    return [name.strip() for name in cell.split(sign)]
