"""The verdict says better only with the correction, as good only by the interval, and nothing of a single seed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ltbench.metrics.pairs import Pair
from ltbench.report.recommendation import Choice, Point, Recommendation, caveats, predict_command, sentences
from ltbench.report.rows import Score


def choice(label: str, mean: float, pair: Pair | None, seconds: float = 1.0) -> Choice:
    facts = SimpleNamespace(task=SimpleNamespace(headline="mAP"), backbone=SimpleNamespace(offers=("image",)))
    costs = {"train_seconds": seconds, "trainable_parameters": 100.0}
    row: Any = SimpleNamespace(
        first=facts, headline=mean, score=lambda metric, subset: Score(mean, 0.1), mean_cost=costs.__getitem__
    )
    return Choice(label, row, 8, pair)


def pair(value: float, half: float | None, adjusted: float) -> Pair:
    ends = (None, None) if half is None else (value - half, value + half)
    return Pair(value, *ends, p=adjusted, adjusted=adjusted, needed=None)


def answer(*others: Choice, cheap: Choice | None = None, **rest: Any) -> Recommendation:
    best = choice("best", 80.0, None, seconds=9.0)
    return Recommendation(
        "mine", "mAP", "tiny-clip", (best, *others), cheap or best, 100, Path("runs/one/attempt-1"), **rest
    )


def test_each_claim_is_held_to_the_stricter_of_the_two() -> None:
    worse = choice("worse", 70.0, pair(10.0, 2.0, 0.01))
    alike = choice("alike", 79.5, pair(0.5, 1.0, 0.9), seconds=0.5)
    undecided = choice("undecided", 78.0, pair(2.0, 1.5, 0.2))
    single = choice("single", 77.0, pair(3.0, None, 1.0))
    assert [one.said for one in (worse, alike, undecided, single)] == [
        "worse", "may be as good", "undecided", "one seed: nothing is sure",
    ]  # fmt: skip
    said = list(sentences(answer(alike, undecided, single, worse, cheap=alike)))
    assert said[0] == "Use best: mAP 80.00 ± 0.10 on 100 test images."
    assert said[1] == "Sure: it is better than worse; 10.00 [8.00, 12.00] behind."
    assert said[2] == "Not sure: alike may be as good, 0.50 [-0.50, 1.50] behind."
    assert said[3].startswith("Undecided: undecided: below it")
    assert said[4] == "Nothing is sure of single: one seed says nothing about others."
    assert said[5].startswith("As good as far as can be told, and cheaper to train: alike (0.5 s, 100; best 9.0 s")


def test_alone_nothing_is_compared() -> None:
    assert list(sentences(answer())) == [
        "Use best: mAP 80.00 ± 0.10 on 100 test images.",
        "Nothing was compared with it.",
    ]
    assert list(caveats(answer())) == []


@pytest.mark.parametrize(
    ("gain", "text"),
    [
        (pair(5.0, 2.0, 0.01), "as many again would bring about as much or less"),
        (pair(0.2, 0.5, 0.9), "would bring little"),
        (pair(2.0, 9.0, 0.9), "may be nothing; these test images are too few to tell"),
        (pair(-3.0, 1.0, 0.01), "not what it lacks"),
        (pair(2.0, None, 1.0), "no more than a hint"),
    ],
)
def test_more_labels_are_promised_as_far_as_the_interval_goes(gain: Pair, text: str) -> None:
    half, whole = choice("half", 75.0, None).row, choice("best", 80.0, None).row
    made = answer(learner="best", curve=(Point(0.5, half, gain), Point(1.0, whole, None)))
    (line,) = [line for line in sentences(made) if line.startswith("More labels")]
    assert "from 50% of the training images to all of them best moved by" in line
    assert text in line


def test_what_was_left_out_is_said_and_the_command_fits_the_run() -> None:
    made = answer(choice("alike", 79.5, pair(0.5, 1.0, 0.9)), cut=("1 of 8 trials a method",), notes=("A note.",))
    assert list(caveats(made))[:2] == ["The budget left: 1 of 8 trials a method.", "A note."]
    assert predict_command(made) == "ltbench predict --run runs/one/attempt-1 PICTURES"
    kept = answer(has_thresholds=True)
    assert predict_command(kept) == "ltbench predict --run runs/one/attempt-1 --thresholds f1 PICTURES"
