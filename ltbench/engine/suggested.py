"""The methods that ``ltbench recommend`` and ``--methods suggested`` try, by kind of labels: the one place to change.

Each list is in order of worth: what the boards on photographs place first, then what asks for more of an encoder, then
what costs most. A budget that is too small leaves out from the end. Methods that train a whole image tower are in none:
they take hours where these take minutes; ``--methods`` names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ltbench.tasks.task import Task


@dataclass(frozen=True)
class Suggestion:
    """A recipe to try.

    Attributes:
        options: laid over its configuration, as ``-o`` does.
    """

    method: str
    # A mapping has no hash; equality still looks at it.
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


def _plain(*names: str) -> tuple[Suggestion, ...]:
    return tuple(Suggestion(name) for name in names)


def _frozen(*names: str) -> tuple[Suggestion, ...]:
    """Recipes of fine-tuning with the tower left as it is, which then learn from one feature an image.

    They begin without mirrored views, which a file of features cannot have; their search tries these where it can.
    """
    return tuple(Suggestion(name, {"tower": "frozen", "augment": "none"}) for name in names)


#: Kind of labels → recipes, see :func:`kind_of`.
SUGGESTED: Final[Mapping[str, tuple[Suggestion, ...]]] = {
    "ltml": (
        *_plain("linear-probe-lbfgs", "linear-probe"),
        *_frozen("asl", "balpoe", "db-focal"),
        *_plain("zero-shot-ensemble", "coop", "lmpt"),
    ),
    "partial": (
        *_plain("linear-probe", "linear-probe-lbfgs", "p-asl-linear", "curriculum-linear"),
        *_plain("zero-shot-ensemble", "coop", "dualcoop"),
    ),
    "spml": (
        *_plain("ll-r-linear", "hill-linear", "ll-cp-linear", "em-linear", "an-linear"),
        *_plain("zero-shot-ensemble", "ll-r-prompts"),
    ),
    "plt": (
        *_plain("linear-probe", "linear-probe-lbfgs", "hill-linear"),
        *_frozen("db", "db-focal"),
        *_plain("comic", "zero-shot-ensemble", "coop"),
    ),
    "zero-shot": _plain("zero-shot-ensemble", "coop", "zero-shot", "dualcoop", "conse", "fast0tag"),
}

_KINDS: Final = {
    "full": "ltml",
    "partial": "partial",
    "single-positive": "spml",
    "plt": "plt",
    "seen-only": "zero-shot",
}


def kind_of(task: Task) -> str:
    """Which list a task asks for: its family; of a user's own task, what its labels look like.

    Complete labels are taken for long-tailed ones, as those of photographs are; labels that name only what is there for
    single positive ones, whose methods make the same assumption.
    """
    if task.family != "custom":
        return task.family
    if task.protocol.kind == "full" and task.unknown_policy == "assume-negative":
        return "spml"
    return _KINDS[task.protocol.kind]


def suggested(task: Task) -> tuple[Suggestion, ...]:
    """The recipes to try on a task, in order of worth, whether they fit or not."""
    return SUGGESTED[kind_of(task)]
