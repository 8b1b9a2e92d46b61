"""How predictions look: ranked labels in a table, as JSON, and drawn beneath the pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ltbench.cli.output import Column, fold, print_table, say
from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_with

if TYPE_CHECKING:
    from PIL.Image import Image

    from ltbench.data.own.pictures import Picture
    from ltbench.engine.predict import Predictor
    from ltbench.records.record import RunRecord

THRESHOLD = 0.5
TOP = 5
BARS = 8
"""Most bars beneath a picture when nobody asked for a number."""


@dataclass(frozen=True)
class Label:
    """One class for one picture.

    Attributes:
        probability: None where logits mean none.
        present: above the threshold; None without one.
    """

    name: str
    logit: float
    probability: float | None
    present: bool | None

    @property
    def value(self) -> str:
        """The figure that is shown."""
        return f"{self.logit:.3f}" if self.probability is None else f"{self.probability:.3f}"


@dataclass(frozen=True)
class Answer:
    """Logits float32 [C] of one picture or row of features, and where it was drawn."""

    name: str
    logits: npt.NDArray[np.float32]
    drawn: Path | None = None


@dataclass(frozen=True)
class Showing:
    """What is shown of the logits.

    Attributes:
        top: that many classes a picture; None takes those above the threshold (five where there is none).
        threshold: probability above which a class is present; None where logits mean no probability, or with limits.
        limits: logit above which each class is present, None for a class that never is; None without such limits.
        rule: what the limits were chosen for.
    """

    record: RunRecord
    class_names: tuple[str, ...]
    warnings: tuple[str, ...]
    top: int | None
    threshold: float | None
    limits: Mapping[str, float | None] | None = None
    rule: str = ""

    @classmethod
    def of(
        cls,
        predictor: Predictor,
        top: int | None,
        threshold: float | None,
        limits: Mapping[str, float | None] | None = None,
        rule: str = "",
    ) -> Showing:
        """What was asked for, with the defaults for a method like this."""
        limit = (THRESHOLD if threshold is None else threshold) if predictor.calibrated and limits is None else None
        return cls(predictor.record, predictor.class_names, predictor.warnings, top, limit, limits, rule)

    @property
    def calibrated(self) -> bool:
        """Whether logits mean probabilities."""
        return self.record.method.calibrated

    @property
    def decides(self) -> bool:
        """Whether it says which classes are present."""
        return self.threshold is not None or self.limits is not None

    def ranked(self, logits: npt.NDArray[np.float32], most: int | None = None) -> list[Label]:
        """Classes, highest first, ties to the lowest column."""
        order = np.argsort(-logits, kind="stable")[:most]
        return [self._label(self.class_names[int(k)], float(logits[k])) for k in order]

    def _label(self, name: str, logit: float) -> Label:
        probability = _sigmoid(logit) if self.calibrated else None
        if self.limits is not None:
            limit = self.limits.get(name)
            return Label(name, logit, probability, limit is not None and logit > limit)
        if self.threshold is None:
            return Label(name, logit, probability, None)
        # Compared as logits: at 0.5 a class is present exactly where its logit is positive, as it is judged.
        return Label(name, logit, probability, logit > _logit(self.threshold))

    def listed(self, logits: npt.NDArray[np.float32]) -> list[Label]:
        """The classes that a table lists."""
        if self.top is not None:
            return self.ranked(logits, self.top)
        if not self.decides:
            return self.ranked(logits, TOP)
        return [label for label in self.ranked(logits) if label.present]

    @property
    def title(self) -> str:
        """Which run speaks."""
        record = self.record
        return f"{record.method.name} ({record.method.variant}), trained on {record.task.address}, seed {record.seed}"


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))


def _logit(probability: float) -> float:
    if probability in (0, 1):
        return -math.inf if probability == 0 else math.inf
    return math.log(probability / (1 - probability))


def print_predictions(showing: Showing, answers: Sequence[Answer], drawn_to: Path | None) -> None:
    """A table with one block a picture."""
    rows = []
    marked = showing.decides and showing.top is not None
    for answer in answers:
        listed = showing.listed(answer.logits)
        if not listed:
            first = showing.ranked(answer.logits, 1)[0]
            mark = [""] if marked else []
            rows.append([answer.name, f"none (first: {first.name})", first.value, *mark])
        for number, label in enumerate(listed):
            mark = ["yes" if label.present else ""] if marked else []
            rows.append(["" if number else answer.name, label.name, label.value, *mark])
    value = Column("probability" if showing.calibrated else "score", right=True)
    columns: list[Column | str] = ["picture", Column("label", whole=True), value, *(["present"] if marked else [])]
    print_table(columns, rows, showing.title)
    if not showing.calibrated:
        say(fold("Scores order the classes of a picture; they are not probabilities."))
    if showing.threshold is not None:
        say(fold(f"Present: probability above {showing.threshold:g}."))
    if showing.limits is not None:
        without = [name for name in showing.class_names if showing.limits.get(name) is None]
        never = f" Never present, for want of one: {', '.join(without)}." if without else ""
        say(fold(f"Present: above the threshold of each class, chosen for {showing.rule} on validation images.{never}"))
    if drawn_to is not None:
        say(f"Drawn: {len(answers)} in {drawn_to}")


def predictions_json(
    showing: Showing, answers: Sequence[Answer], problems: Sequence[UserError], left_out: Sequence[Path] = ()
) -> dict[str, Any]:
    """Everything for programs; all classes unless a number was asked for."""
    record = showing.record
    return {
        "run": {
            "key": record.key,
            "attempt": record.attempt,
            "task": record.task.address,
            "method": record.method.name,
            "backbone": record.backbone.name,
            "seed": record.seed,
        },
        "classes": list(showing.class_names),
        "calibrated": showing.calibrated,
        "threshold": showing.threshold,
        "thresholds": None if showing.limits is None else dict(showing.limits),
        "rule": showing.rule or None,
        "warnings": list(showing.warnings),
        "pictures": [
            {
                "path": answer.name,
                "drawn": None if answer.drawn is None else str(answer.drawn),
                "labels": [
                    {
                        "class": label.name,
                        "logit": label.logit,
                        "probability": label.probability,
                        "present": label.present,
                    }
                    for label in showing.ranked(answer.logits, showing.top)
                ],
            }
            for answer in answers
        ],
        "problems": [{"problem": problem.message, "hint": problem.hint} for problem in problems],
        "left_out": [str(path) for path in left_out],
    }


class Drawing:
    """Draws answers beneath their pictures, into one folder.

    Args:
        folder: made when the first picture is written.
        pictures: all that will come; each gets a name of its own.

    Raises:
        UserError: a drawing would replace one of the pictures.
    """

    def __init__(self, folder: Path, pictures: Sequence[Picture]) -> None:
        self._places: dict[Path, Path] = {}
        taken: set[Path] = set()
        for picture in pictures:
            place, number = picture.place.with_suffix(".png"), 1
            while place in taken:
                number += 1
                place = picture.place.with_name(f"{picture.place.stem}-{number}.png")
            taken.add(place)
            self._places[picture.path] = folder / place
        sources = {picture.path.resolve() for picture in pictures}
        for place in self._places.values():
            if place.resolve() in sources:
                raise UserError(f"--annotate {folder} would replace image {place}", "--annotate with another folder")

    def draw(self, showing: Showing, picture: Picture, image: Image, logits: npt.NDArray[np.float32]) -> Path:
        """Draw one answer; where it lies.

        Raises:
            UserError: the file cannot be written.
        """
        from ltbench.report.annotate import Bar, annotated

        labels = showing.ranked(logits, showing.top or TOP)
        if showing.top is None and showing.decides:
            present = sum(bool(label.present) for label in showing.ranked(logits, BARS))
            labels = showing.ranked(logits, max(TOP, present))
        low, high = float(logits.min()), float(logits.max())
        bars = [
            Bar(
                label.name,
                label.value,
                (label.logit - low) / ((high - low) or 1.0) if label.probability is None else label.probability,
                label.present is not False,
            )
            for label in labels
        ]
        note = "scores: they order the classes, they are not probabilities"
        if showing.threshold is not None:
            note = f"probabilities; blue: above {showing.threshold:g}"
        elif showing.limits is not None:
            note = f"blue: above the class's threshold ({showing.rule})"
        drawn = annotated(image, bars, showing.title, note, showing.threshold)
        place = self._places[picture.path]
        write_with(place, lambda file: drawn.save(file, "PNG"))
        return place
