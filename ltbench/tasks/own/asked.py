"""``--protocol``: what of complete labels a method of one's own benchmark may see."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ltbench.data.base import Labels
from ltbench.plugin.errors import UserError
from ltbench.tasks.groups import GroupRule
from ltbench.tasks.long_tail import long_tailed
from ltbench.tasks.protocols import Full, LabelProtocol, Partial, Plt, SeenOnly, SinglePositive

FORMS: Final = "partial:0.5, single-positive, plt:0.4, long-tail or unseen:NAME,NAME"
#: Of the Pareto density of a long tail, as VOC-LT has it.
EXPONENT: Final = 6.0


@dataclass(frozen=True)
class Asked:
    """A protocol with what goes with it.

    Attributes:
        protocol: how labels of the training part are hidden.
        facts: further fields of the task.
        tail: exponent of a long-tailed subset of the training rows; None takes all of them.
        needs_complete: hides labels, and so needs complete ones.
    """

    protocol: LabelProtocol
    facts: dict[str, Any] = field(default_factory=dict)
    tail: float | None = None
    needs_complete: bool = True


def asked(text: str, class_names: Sequence[str], groups: GroupRule) -> Asked:
    """Read ``partial:0.5`` and the like.

    Raises:
        UserError: no such protocol, no such class, or a share that is none.
    """
    kind, _, value = text.partition(":")
    if not text:
        return Asked(Full(), {"groups": groups}, needs_complete=False)
    if kind == "single-positive" and not value:
        return Asked(SinglePositive(), {"groups": groups})
    if kind == "long-tail":
        return Asked(Full(), {"groups": groups}, tail=_number(text, value, 0, 100) if value else EXPONENT)
    if kind == "partial":
        return Asked(Partial(share=_number(text, value, 0, 1)), {"groups": groups})
    if kind == "plt":
        return Asked(Plt(missing=_number(text, value, 0, 1)), {"groups": groups})
    if kind == "unseen" and value:
        return _unseen(tuple(name.strip() for name in value.split(",") if name.strip()), class_names)
    raise UserError(f"protocol {text!r} is not known; it is {FORMS}", "--protocol partial:0.5")


def _number(text: str, value: str, low: float, high: float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = low
    if not low < number < high:
        raise UserError(f"protocol {text!r} needs a number between {low:g} and {high:g}", f"--protocol is {FORMS}")
    return number


def _unseen(names: tuple[str, ...], class_names: Sequence[str]) -> Asked:
    stray = [name for name in names if name not in class_names]
    if stray:
        raise UserError(
            f"unseen class {stray[0]!r} is not among the classes: {', '.join(class_names[:8])}",
            "ltbench task new --help",
        )
    seen = tuple(name for name in class_names if name not in names)
    if not seen:
        raise UserError("every class is unseen, so that nothing can be trained", "--protocol unseen:SOME,OF,THEM")
    facts = {
        "unseen": tuple(name for name in class_names if name in names),
        "train_rows": "seen-only",
        "groups": GroupRule.zero_shot(seen, tuple(name for name in class_names if name in names)),
        "captions": "none",
        "metrics": ("mAP", "P@3", "R@3", "F1@3"),
    }
    return Asked(SeenOnly(seen=seen), facts)


def tail_rows(labels: Labels, ids: Sequence[str], exponent: float) -> list[int]:
    """Training rows of a long-tailed subset, drawn as VOC-LT was, sorted by place.

    The most frequent class keeps its images as far as the draw allows, the rarest may keep one. It does not depend on
    the order of the rows.

    Args:
        labels: int8 [N, C].
        ids: [N].
        exponent: of the Pareto density; larger is steeper.
    """
    order = sorted(range(len(ids)), key=lambda row: ids[row])
    labels = labels[order]
    largest = int((labels == 1).sum(axis=0).max(initial=0))
    drawn = long_tailed(labels, max(1, largest), exponent, random.Random(0))
    return sorted(int(np.asarray(order)[row]) for row in drawn)
