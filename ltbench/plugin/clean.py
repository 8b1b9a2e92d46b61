"""Text from outside (records, task folders, tables, servers), cleaned once for each place that it goes to.

Whoever writes to a place calls its function, on the text as a whole or cell by cell, and nothing before does. LaTeX and
HTML have escapes of their own (``ltbench.report.latex``; jinja's autoescape).
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: Orders that the letters around them be shown in, and so may show a text as another.
_TURNS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_STARTS_FORMULA = ("=", "+", "-", "@")


def plain(text: str) -> str:
    """A text without control characters and without turns of direction; line breaks and tabs stay."""
    if text.isprintable():
        return text
    return "".join(letter for letter in text if letter in "\n\t" or not _controls(letter))


def for_terminal(text: str) -> str:
    """A text that cannot tell a terminal anything: what is taken for an order shows as its code."""
    if text.isprintable():
        return text
    return "".join(letter if letter in "\n\t" or not _controls(letter) else _code(letter) for letter in text)


def _code(letter: str) -> str:
    return ascii(letter)[1:-1]


def _controls(letter: str) -> bool:
    return letter in _TURNS or unicodedata.category(letter) in ("Cc", "Cs")


def for_markdown(text: str) -> str:
    """A text that makes no HTML and no link in Markdown, in one line."""
    line = " ".join(plain(text).split())
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", line).replace("](", "]\\(")


def for_markdown_cell(text: str) -> str:
    """As :func:`for_markdown`, in a table: no end of the cell either."""
    return for_markdown(text).replace("|", "\\|")


def for_cell(value: object) -> object:
    """A value for a cell of a spreadsheet: text that a program would take for a formula begins with an apostrophe."""
    if not isinstance(value, str):
        return value
    text = plain(value)
    return f"'{text}" if text.lstrip().startswith(_STARTS_FORMULA) else text


def csv_text(frame: pd.DataFrame) -> str:
    """A frame as CSV; text that a spreadsheet would take for a formula is marked as text, in headers too."""
    made = frame.rename(columns=for_cell)  # a copy
    for place in range(made.shape[1]):
        if made.dtypes.iloc[place].kind not in "iufb":
            made.isetitem(place, made.iloc[:, place].map(for_cell).to_numpy())
    return str(made.to_csv(index=False, lineterminator="\n"))
