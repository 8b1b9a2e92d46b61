"""Names are checked before anything heavy is imported."""

from __future__ import annotations

from pathlib import Path

from ltbench.plugin.errors import UserError


def check_names(method: str, backbone: str | None) -> None:
    """Refuse unknown names; a backbone may be left to be chosen.

    Raises:
        UnknownName: the nearest names are suggested.
    """
    from ltbench.backbones.registry import find_backbone
    from ltbench.plugin.manager import registry

    registry().methods.get(method)
    if backbone is not None:
        find_backbone(backbone)


def find_record(name: str, out: Path, completed: bool = False) -> Path:
    """The record that a user names: a record, the folder of an attempt or of all of a run's, or first digits of a key.

    Args:
        name: at least four digits where it is a key.
        out: folder of runs, to look up a key.
        completed: of several attempts prefer the newest that completed, not the newest.

    Raises:
        UserError: no run, or several.
    """
    from ltbench.records.read import RECORD_NAME, all_summaries

    path = Path(name)
    if path.is_file():
        return path
    if (path / RECORD_NAME).is_file():
        return path / RECORD_NAME
    digits = len(name) >= 4 and all(letter in "0123456789abcdef" for letter in name)
    if path.is_dir():
        entries = all_summaries([path]).summaries
    elif digits and out.exists():
        entries = [entry for entry in all_summaries([out]).summaries if str(entry[1]["key"]).startswith(name)]
    else:
        entries = []
    keys = sorted({str(summary["key"]) for _, summary in entries})
    if len(keys) > 1:
        shown = ", ".join(key[:12] for key in keys[:4]) + (", …" if len(keys) > 4 else "")
        where = path if path.is_dir() else out
        raise UserError(f"{name!r} fits {len(keys)} runs: {shown}", f"ltbench list runs --out {where}")
    if not entries:
        raise UserError(f"there is no run {name!r} in {out}", f"ltbench list runs --out {out}")
    return max(entries, key=lambda entry: (completed and entry[1]["status"] == "completed", entry[1]["attempt"]))[0]
