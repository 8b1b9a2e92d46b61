"""Which column of a table means what: by its name in common use, or as a user says."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

ROLES: Final = ("file", "split", "labels", "unknown", "value", "group", "ignore")
COLUMNS: Final = ("file", "split", "labels", "unknown")
#: Names in common use, without case, blanks and signs.
_KNOWN: Final = {
    "file": ("file", "filename", "filepath", "path", "image", "imagename", "imagepath", "imagefile", "imageid",
             "imageindex", "img", "imgname", "imgpath", "picture", "photo", "photograph"),
    "labels": ("labels", "label", "tags", "tag", "classes", "class", "categories", "category", "findinglabels",
               "labelname", "classname"),
    "split": ("split", "set", "subset", "part", "partition"),
    "unknown": ("unknown",),
    "value": ("value", "confidence", "present"),
}  # fmt: skip


@dataclass(frozen=True)
class Columns:
    """Places of the columns.

    Attributes:
        roles: role → place.
        rest: (place, name) of the columns that have none.
        problems: what is wrong with the header.
        notes: names that were taken for a role.
    """

    roles: Mapping[str, int]
    rest: tuple[tuple[int, str], ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def find_columns(header: Sequence[str], said: Mapping[str, str]) -> Columns:
    """Tell columns apart.

    Args:
        header: names.
        said: role → name, as a user says; ``ignore`` takes several names, joined by commas.
    """
    problems: list[str] = []
    notes: list[str] = []
    roles: dict[str, int] = {}
    ignored = {name.strip() for name in said.get("ignore", "").split(",") if name.strip()}
    for role, name in said.items():
        if role == "ignore":
            problems.extend(_absent(one, header) for one in sorted(ignored) if one not in header)
        elif name in header:
            roles[role] = header.index(name)
        else:
            problems.append(_absent(name, header))
    for role, names in _KNOWN.items():
        if role in roles or role in said:
            continue
        exact = [place for place, name in enumerate(header) if name == role]
        if len(exact) > 1:
            problems.append(f"column {role!r} stands twice")
        places = exact or [p for p, name in enumerate(header) if _plain(name) in names and name not in ignored]
        if len(places) > 1 and not exact and role in COLUMNS:
            shown = " and ".join(repr(header[place]) for place in places)
            problems.append(f"columns {shown} could each be {role!r}; say --column {role}=NAME")
        if places and (exact or len(places) == 1):
            roles[role] = places[0]
            if not exact:
                notes.append(f"column {header[places[0]]!r} is read as {role!r}")
    taken = set(roles.values())
    rest = tuple(
        (place, name) for place, name in enumerate(header) if place not in taken and name and name not in ignored
    )
    for _, name in rest:
        near = difflib.get_close_matches(name.lower(), [one for one in COLUMNS if one not in roles], n=1, cutoff=0.75)
        if near:
            problems.append(f"unknown column {name!r}; did you mean {near[0]!r}?")
    return Columns(roles, rest, tuple(problems), tuple(notes))


def _absent(name: str, header: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, header, n=1)
    return f"there is no column {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()
