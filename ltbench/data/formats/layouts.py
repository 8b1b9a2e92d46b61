"""Where data sets lie below ``--data-root`` (or ``LTBENCH_DATA``), in the layouts that people already have.

A data set is looked for in ``DataRoot.places``: below the data root first, then where ``ltbench data prepare`` puts
things without one. The first folder that holds what marks the data set is taken; folders are never merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ltbench.data.base import DataRoot
from ltbench.data.status import DataStatus, folder_bytes
from ltbench.plugin.errors import Damaged, DataMissing, UserError
from ltbench.plugin.names import leads_out, shown
from ltbench.plugin.reading import read_text_file


@dataclass(frozen=True)
class Layout:
    """How one data set is recognised.

    Attributes:
        data_set: its name.
        title: what a person calls it.
        folders: paths below the data root, best first; ``""`` is the data root itself.
        marks: names inside the folder by which it is recognised.
        advice: the layout to name in an error.
        any_mark: one of the marks is enough, where people lay a data set out in several ways.
        near: folders below the data root of what is taken for it and is another data set.
    """

    data_set: str
    title: str
    folders: tuple[str, ...]
    marks: tuple[str, ...]
    advice: str
    any_mark: bool = False
    near: tuple[str, ...] = ()

    @property
    def hint(self) -> str:
        """The next command to type."""
        return f"ltbench data prepare TASK, or --data-root DIR with {self.advice} in it"


def find(root: DataRoot, layout: Layout) -> Path | None:
    """The folder of a data set; None when it is not here."""
    own = Path(layout.folders[0]).name
    for place in root.places:
        # The data root may be the data set's own folder, where it is called so.
        itself = [place] if place.name == own else []
        for folder in (*itself, *(place / name for name in layout.folders)):
            there = [(folder / mark).exists() for mark in layout.marks]
            if any(there) if layout.any_mark else all(there):
                return folder
    return None


def mistaken(root: DataRoot, layout: Layout) -> str:
    """Name of what is here and is taken for a data set that is not; empty where there is no such thing."""
    return next((Path(name).name for place in root.places for name in layout.near if (place / name).is_dir()), "")


def locate(root: DataRoot, layout: Layout, beside: str = "") -> Path:
    """The folder of a data set.

    Args:
        beside: what was found in its stead, for the message.

    Raises:
        DataMissing: it is not here; says what was looked for.
    """
    found = find(root, layout)
    if found is not None:
        return found
    where = f"below {root.root.name or root.root}" if root.root is not None else "here, and no --data-root is given"
    raise DataMissing(f"{layout.title} is not {where} (looked for {layout.advice}){beside}", layout.hint)


def need(path: Path, what: str, layout: Layout) -> Path:
    """``path``, which has to exist.

    Raises:
        UserError: names file and data set.
    """
    if not path.exists():
        place = f"{path.parent.name}/{path.name}"
        raise UserError(f"{layout.title}: {place} is missing ({what})", layout.hint)
    return path


def first_of(folder: Path, names: Sequence[str], what: str, layout: Layout) -> Path:
    """The first of several names under which people keep a file.

    Raises:
        UserError: none is there.
    """
    for name in names:
        if (folder / name).exists():
            return folder / name
    raise UserError(f"{layout.title}: {' or '.join(names)} is missing ({what})", layout.hint)


def layout_status(root: DataRoot, layout: Layout, wanted: Sequence[Sequence[str]]) -> DataStatus:
    """State of a data set, told from the names of its files.

    Args:
        wanted: files and folders below the data set's own; each is a list of names of which one has to be there.
    """
    folder = find(root, layout)
    if folder is None:
        return DataStatus(layout.data_set, "missing", f"{layout.title} is not here", 0, layout.hint)
    absent = [names[0] for names in wanted if not any((folder / name).exists() for name in names)]
    if absent:
        detail = f"{folder.name} lacks {', '.join(absent)}"
        return DataStatus(layout.data_set, "partly", detail, folder_bytes(folder), layout.hint)
    return DataStatus(layout.data_set, "here", "", folder_bytes(folder))


def read_lines(path: Path, what: str, layout: Layout) -> list[str]:
    """Lines of a text file, stripped, without blank ones.

    Raises:
        UserError: the file is missing, empty or no text.
    """
    need(path, what, layout)
    try:
        lines = [line.strip() for line in read_text_file(path).splitlines()]
    except Damaged as error:
        raise UserError(f"{layout.title}: {error.message}", layout.hint) from error
    kept = [line for line in lines if line]
    if not kept:
        raise UserError(f"{layout.title}: {path.name} is empty ({what})", layout.hint)
    return kept


def check_ids(ids: Sequence[str], where: str, layout: Layout) -> None:
    """Ids that become paths of photographs have to be unique, and to lie below their folder.

    Raises:
        UserError: names one that is not, or as :func:`refuse_repeated`.
    """
    stray = next((row for row in ids if leads_out(row)), None)
    if stray is not None:
        raise UserError(
            f"{layout.title}: {where} lists {shown(stray)}, which is no path below the photographs", layout.hint
        )
    refuse_repeated(ids, where, layout)


def refuse_repeated(names: Sequence[str], where: str, layout: Layout) -> None:
    """Ids have to be unique within a part.

    Raises:
        UserError: names the repeated ones.
    """
    seen: set[str] = set()
    twice: dict[str, None] = {}
    for name in names:
        if name in seen:
            twice[name] = None
        seen.add(name)
    if twice:
        raise UserError(f"{layout.title}: {where} lists {first(list(twice))} more than once", layout.hint)


def first(names: Sequence[str], count: int = 3) -> str:
    """The first few names, for messages."""
    more = len(names) - count
    return ", ".join(names[:count]) + (f" and {more} more" if more > 0 else "")
