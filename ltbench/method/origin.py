"""Where the values of a preset come from: one grammar, and what each origin may be claimed for.

    published(WHAT)              values that a paper prints or a release sets: WHAT names the rows or the file
    tuned(N, on TASK)            the best of N trials on validation rows of TASK, for this very preset
    transferred(TASK)            values tuned on another task, TASK
    transferred(TASK, from WHAT) values tuned on TASK for something else: another preset, recipe, variant or option
    default                      anything else: defaults, or values that somebody chose

Records of schema versions 1 and 2 state origins of an older grammar, in which ``tuned(N)`` named no task; they are read
as they are, see :func:`agrees`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["published", "tuned", "transferred", "default"]

OLD_ORIGIN = r"^(published\(.+\)|tuned\(\d+.*\)|default)$"
"""What records of schema versions 1 and 2 may state."""

_TASK = r"(?P<task>[^\s,()]+)"
_FORMS: dict[Kind, re.Pattern[str]] = {
    "published": re.compile(r"published\((?P<what>.+)\)"),
    "tuned": re.compile(rf"tuned\((?P<trials>[1-9]\d*), on {_TASK}\)"),
    "transferred": re.compile(rf"transferred\({_TASK}(?:, from (?P<what>[^()]+))?\)"),
    "default": re.compile(r"default"),
}


@dataclass(frozen=True)
class Origin:
    """An origin, read.

    Attributes:
        kind: the word in front of the bracket.
        what: rows or file of ``published``; what the values were tuned for, of ``transferred``; else empty.
        task: address of the task that the values were tuned on; else empty.
        trials: number of trials of ``tuned``; else 0.
    """

    kind: Kind
    what: str = ""
    task: str = ""
    trials: int = 0

    def __str__(self) -> str:
        if self.kind == "published":
            return f"published({self.what})"
        if self.kind == "tuned":
            return f"tuned({self.trials}, on {self.task})"
        if self.kind == "transferred":
            return f"transferred({self.task}, from {self.what})" if self.what else f"transferred({self.task})"
        return "default"

    def problem(self, tasks: Sequence[str]) -> str:
        """What keeps it from being the origin of a preset for these tasks (names or addresses); empty if nothing.

        A task that a preset was tuned on is one of those it is for; all others of its settings come along, since the
        origin names the one. Values for another task are transferred, and published ones belong to no task of ours.
        """
        named = {task.partition("@")[0] for task in tasks}
        home = self.task.partition("@")[0]
        if self.kind == "tuned" and named != {home}:
            return f"{self}: the preset is for {', '.join(tasks) or 'any task'}, so what is not {home} is transferred"
        if self.kind == "transferred" and not self.what and home in named:
            return f"{self}: the preset is for {home} itself, so say from what (another preset, recipe or variant)"
        if self.kind == "published" and any(name.startswith(("shapes-", "photos-")) for name in named):
            return f"{self}: nothing was published for {', '.join(sorted(named))}"
        return ""


def parse_origin(text: str) -> Origin:
    """Read an origin.

    Raises:
        ValueError: it is none; the message says what one looks like.
    """
    for kind, form in _FORMS.items():
        found = form.fullmatch(text)
        if found:
            parts = found.groupdict()
            return Origin(kind, parts.get("what") or "", parts.get("task") or "", int(parts.get("trials") or 0))
    raise ValueError(
        f"{text!r} is no origin: published(WHAT), tuned(N, on TASK), transferred(TASK), transferred(TASK, from WHAT) "
        "or default"
    )


def agrees(stated: str, preset: str) -> bool:
    """Whether a record of schema version 1 or 2 may state an origin for a run with a preset of today's grammar.

    The old grammar had ``tuned(N)`` without a task, ``tuned(N, as NAME)`` for what is transferred from another preset,
    and ``default`` for what is transferred from another task.
    """
    now = parse_origin(preset)
    if re.match(OLD_ORIGIN, stated) is None:
        return False
    if stated == preset:
        return True
    if stated.startswith("published("):
        return now.kind == "published"
    if stated == "default":
        return now.kind in ("default", "transferred")
    trials, _, on = re.sub(r"^tuned\((.*)\)$", r"\1", stated).partition(", ")
    if now.kind == "tuned":
        return int(trials) == now.trials and on in ("", f"on {now.task}")
    return now.kind == "transferred"
