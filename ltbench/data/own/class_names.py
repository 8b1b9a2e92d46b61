"""Class names as people give them: which cannot be used, and which look alike."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ltbench.data.own.text import text_of
from ltbench.plugin.errors import UserError
from ltbench.plugin.names import label_problem, shown
from ltbench.plugin.paths import holds_path

#: What programs write where nothing is known; no class is called so by a person.
_NOTHING: Final = frozenset({"nan", "none", "null", "n/a", "na", "<na>", "nat", "#n/a"})
#: Names that look alike are listed up to this number.
_MOST: Final = 3


def read_class_names(path: Path) -> tuple[str, ...]:
    """Class names, one a line, in column order; blank lines are skipped.

    Raises:
        UserError: the file cannot be read, is empty, or a name stands twice or cannot be used.
    """
    names = [line.strip() for line in text_of(path).splitlines() if line.strip()]
    twice = sorted({name for name in names if names.count(name) > 1})
    bars = [name for name in names if "|" in name]
    if not names or twice or bars:
        what = f"lists {twice[0]!r} twice" if twice else f"has a bar in {bars[0]!r}" if bars else "is empty"
        raise UserError(f"{path.name} {what}", "one class name a line, each once, no bars")
    for name in names:
        if problem := name_problem(name):
            raise UserError(f"{path.name}: {problem}", "one class name a line, as words")
    return tuple(names)


def name_problem(name: str) -> str:
    """Why a class cannot have this name; empty when it can."""
    if "\n" in name or "\r" in name:
        return f"label {name!r} holds a line break"
    if name == "*":
        return "'*' is no class; in the column unknown it stands for all classes that are not named"
    if name.casefold() in _NOTHING:
        return f"label {name!r} is what programs write for an empty cell, not a class; leave the cell empty"
    if len(name) > 1 and name[0] in "'\"`" and name[-1] == name[0]:
        return f"label {shown(name)} stands in quotes; take them away"
    if holds_path(name):
        return f"label {name!r} reads like a file path, which no record may hold; give it a name of words"
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in name):
        return f"label {name!r} holds a control character"
    if problem := label_problem(name):
        return f"label {shown(name)} cannot be a class: {problem}"
    return ""


def look_alikes(names: Sequence[str]) -> list[str]:
    """Names that differ by case, blanks, hyphens or the form of their letters alone: almost surely one class.

    Returns:
        One phrase for each group: ``'Person' and 'person'``.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_plain(name), []).append(name)
    return [" and ".join(map(repr, group)) for group in groups.values() if len(group) > 1]


def near_names(names: Sequence[str]) -> list[str]:
    """Pairs of longer names one letter apart, as misspelling makes them: ``'umbrela' and 'umbrella'``."""
    plain = sorted({_plain(name): name for name in names if len(name) > 4}.items())
    found: list[str] = []
    for place, (key, name) in enumerate(plain):
        others = [other for other, _ in plain[place + 1 :] if abs(len(other) - len(key)) < 2 and _words(other, key)]
        for other in difflib.get_close_matches(key, others, n=_MOST, cutoff=0.88):
            found.append(f"{name!r} and {dict(plain)[other]!r}")
    return found


def _words(one: str, other: str) -> bool:
    """Digits set names apart on purpose (``grade 1``, ``grade 2``)."""
    return re.sub(r"\D", "", one) == re.sub(r"\D", "", other)


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-]+", " ", unicodedata.normalize("NFKC", name)).casefold().strip()
