"""Tables of the README, from what is registered and from the guide: ``python tests/docs/tables.py`` writes them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"
WHAT = {
    "tasks": ("task", "family", "settings", "what it asks"),
    "methods": ("method", "made for", "what it does"),
    "backbones": ("backbone", "offers", "what it is"),
}
GUIDE = README.parent / "leaderboards" / "README.md"
SHOWN = ("problem", "you have", "best by mean", "mAP", "over a plain recipe", "as good", "from")


def listed(what: str) -> list[dict[str, object]]:
    """What ``ltbench list`` says, of ltbench's own distribution only."""
    command = [sys.executable, "-m", "ltbench", "list", what, "--json"]
    rows = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return [row for row in rows if row["distribution"] == "ltbench"]


def table(what: str) -> str:
    """One table, in Markdown."""
    cells = {"tasks": _task, "methods": _method, "backbones": _backbone}[what]
    found = grouped(listed(what)) if what == "methods" else listed(what)
    rows = [WHAT[what], tuple("---" for _ in WHAT[what]), *(cells(row) for row in found)]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows)


def answers() -> str:
    """What the guide says, in fewer columns; lines without a row and those of features alone are left out."""
    lines = [line for line in GUIDE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    kept, problem = [], ""
    for row in rows:
        found = dict(zip(head, row, strict=True))
        problem = found["problem"] or problem
        if found["you have"] == "features only" or found["mAP"] in ("", "–"):
            continue
        found |= {"problem": problem, "from": found["from"].replace("](", "](leaderboards/")}
        kept.append([found[name] for name in SHOWN])
    return "\n".join("| " + " | ".join(row) + " |" for row in (SHOWN, ["---"] * len(SHOWN), *kept))


def grouped(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Recipes of one trainer in one row: those for the same families, whose summaries begin with the same words."""
    kin: dict[tuple[str, str], list[dict[str, object]]] = {}
    for row in rows:
        trainer, colon, _ = str(row["summary"]).partition(": ")
        kin.setdefault((trainer if colon else str(row["name"]), _words(row["families"])), []).append(row)
    made = []
    for (trainer, _), members in kin.items():
        if len(members) > 3:
            names = "`, `".join(str(row["name"]) for row in members)
            made.append({**members[0], "name": names, "summary": f"{trainer}; they differ in the loss or its rows"})
        else:
            made += members
    return made


def _task(row: dict[str, object]) -> tuple[object, ...]:
    return f"`{row['name']}`", row["family"], _words(row["settings"]), row["summary"]


def _method(row: dict[str, object]) -> tuple[object, ...]:
    return f"`{row['name']}`", _words(row["families"]), row["summary"]


def _backbone(row: dict[str, object]) -> tuple[object, ...]:
    return f"`{row['name']}`", _words(row["offers"]), row["summary"]


def _words(value: object) -> str:
    assert isinstance(value, list)
    return ", ".join(str(each) for each in value)


def place(what: str) -> re.Pattern[str]:
    """Where a table stands: between two comments."""
    return re.compile(rf"(?<=<!-- {what} -->\n\n).*?(?=\n\n<!-- end of {what} -->)", re.S)


if __name__ == "__main__":
    text = README.read_text(encoding="utf-8")
    for name in WHAT:
        text = place(name).sub(lambda match, name=name: table(name), text)  # type: ignore[misc]
    text = place("answers").sub(lambda match: answers(), text)
    README.write_text(text, encoding="utf-8")
