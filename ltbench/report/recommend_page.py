"""The answer as one HTML page that needs nothing beside it, with the test pictures on which two methods differ."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from ltbench.report.head_to_head import HeadToHead, head_to_head
from ltbench.report.pairs import at_hand, read_checked, truth_of
from ltbench.report.recommendation import Choice, Recommendation, caveats, predict_command

if TYPE_CHECKING:
    from PIL.Image import Image

    from ltbench.records.verify import OpenTruth

PICTURES = 8
"""Test pictures that are shown."""
SIDE = 240
"""Longest side of a shown picture, pixels."""
FEWEST_NAMES = 3
"""Classes that are named of each method, at least; as many as the picture shows where that is more."""

#: Gives the picture of a test row.
LoadPicture = Callable[[str], "Image"]


@dataclass(frozen=True)
class Shown:
    """A test picture with what two methods say.

    Attributes:
        source: ``data:`` address of a small JPEG; empty where there is no picture.
        labels: its present classes.
        first: highest classes of the first method, each with whether it is present.
        second: of the second.
    """

    id: str
    source: str
    labels: tuple[str, ...]
    first: tuple[tuple[str, bool], ...]
    second: tuple[tuple[str, bool], ...]
    better: str


@dataclass(frozen=True)
class Differences:
    """Where two methods differ.

    Attributes:
        classes: those with the largest differences, by class.
    """

    made: HeadToHead
    pictures: tuple[Shown, ...]


def other_of(answer: Recommendation) -> Choice | None:
    """The method that the best is shown beside: the cheaper one that may be as good, else the next; None alone."""
    if answer.cheap is not answer.best:
        return answer.cheap
    return answer.choices[1] if len(answer.choices) > 1 else None


def differences(
    answer: Recommendation, files: Mapping[str, Path], open_truth: OpenTruth, load: LoadPicture | None
) -> Differences | None:
    """Where the best method and the other one differ most; None where there is nothing to compare.

    Args:
        files: sha256 → file of logits.
        open_truth: opens the task.
        load: gives pictures; None where the task has features only.

    Raises:
        UserError: as :func:`ltbench.report.head_to_head.head_to_head`, or a picture cannot be read.
    """
    other = other_of(answer)
    if other is None:
        return None
    pair = (answer.best, other)
    made = head_to_head(
        (pair[0].row, pair[1].row), (pair[0].label, pair[1].label), files, open_truth, PICTURES if load else 0
    )
    if load is None:
        return Differences(made, ())
    truth = truth_of(answer.best.row, open_truth)
    place = {name: row for row, name in enumerate(truth.ids)}
    means = [np.mean([read_checked(files[sha], sha, truth) for sha in at_hand(one.row, files)], axis=0) for one in pair]
    pictures = []
    for row in made.rows:
        present = set(row.labels)
        count = max(FEWEST_NAMES, len(present))
        tops = []
        for logits in means:
            order = np.argsort(-logits[place[row.id]], kind="stable")[:count]
            names = [truth.class_names[int(column)] for column in order]
            tops.append(tuple((name, name in present) for name in names))
        better = pair[1].label if row.value > 0 else pair[0].label
        pictures.append(Shown(row.id, _small(load(row.id)), row.labels, tops[0], tops[1], better))
    return Differences(made, tuple(pictures))


def _small(image: Image) -> str:
    """A picture as the ``data:`` address of a small JPEG, without what its file says of camera and place."""
    small = image.copy()
    small.thumbnail((SIDE, SIDE))
    content = io.BytesIO()
    small.save(content, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"


def render_page(answer: Recommendation, differing: Differences | None = None) -> str:
    """The page."""
    environment = Environment(
        loader=PackageLoader("ltbench.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    classes: Sequence[object] = ()
    if differing is not None:
        known = [gap for gap in differing.made.classes if gap.value is not None]
        classes = sorted(known, key=lambda gap: -abs(gap.value or 0.0))[:10]
    return environment.get_template("recommendation.html.j2").render(
        answer=answer,
        verdict=answer.verdict,
        caveats=list(caveats(answer)),
        command=predict_command(answer),
        differing=differing,
        classes=classes,
    )
