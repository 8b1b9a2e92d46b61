"""What somebody should use for a task, from the rows of a trial of several methods: one answer that every form shows.

The figures are those of the boards: means over seeds on the test images, pairs compared over test images and seeds with
Holm's correction. What is called better goes by the correction, what is called as good by the interval of the pair
alone: each claim is held to the stricter of the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltbench.metrics.judged import TOTAL
from ltbench.records.record import RunRecord
from ltbench.report.board import human, labels_of
from ltbench.report.cells import score_cell
from ltbench.report.pairs import Comparisons
from ltbench.report.ranks import Compared, compare_rows
from ltbench.report.rows import Equals, Row, why_not_ranked
from ltbench.report.verdict import as_good, cheapest, holds_zero

if TYPE_CHECKING:
    from ltbench.metrics.pairs import Pair
    from ltbench.records.verify import OpenTruth


#: A gain of no more than this is called little, percentage points.
LITTLE = 1.0


@dataclass(frozen=True)
class Choice:
    """A method that ran.

    Attributes:
        label: how it is called.
        trials: configurations that were tried of it; 1 for the unchanged one alone.
        behind: the best minus this one; None for the best itself.
    """

    label: str
    row: Row
    trials: int
    behind: Pair | None

    @property
    def mean(self) -> str:
        """Headline figure over all classes with its half width."""
        return score_cell(self.row.score(self.row.first.task.headline, TOTAL)).text

    @property
    def seconds(self) -> float | None:
        """Training, mean over seeds."""
        return self.row.mean_cost("train_seconds")

    @property
    def cost(self) -> str:
        """Seconds of training and trained parameters."""
        parameters = self.row.mean_cost("trainable_parameters")
        taken = "–" if self.seconds is None else f"{self.seconds:.1f} s"
        return f"{taken}, {'–' if parameters is None else human(parameters)}"

    @property
    def said(self) -> str:
        """How it stands to the best."""
        if self.behind is None:
            return "use this"
        if self.behind.low is None:
            return "one seed: nothing is sure"
        if self.behind.separated:
            return "worse"
        return "may be as good" if holds_zero(self.behind) else "undecided"


@dataclass(frozen=True)
class Point:
    """Figures on a share of the labels.

    Attributes:
        share: of the training images.
        gain: all of them minus this share; None for all of them.
    """

    share: float
    row: Row
    gain: Pair | None


@dataclass(frozen=True)
class Recommendation:
    """The answer.

    Attributes:
        address: of the task.
        metric: what is compared, over all classes.
        encoder: that all stand on.
        choices: best first.
        cheap: the one of those that may be as good that trains fastest; the best itself where none is faster.
        learner: label of the method of the curve.
        curve: from the smallest share to all.
        cut: what a budget left out.
        notes: whatever else a reader has to know, one sentence each.
        run: folder of the run to predict with.
        has_thresholds: it keeps what thresholds of classes follow from.
        report: where the HTML page lies; None where none was written.
        seconds: that all of it took.
    """

    address: str
    metric: str
    encoder: str
    choices: tuple[Choice, ...]
    cheap: Choice
    images: int
    run: Path
    learner: str = ""
    curve: tuple[Point, ...] = ()
    cut: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    has_thresholds: bool = False
    report: Path | None = None
    seconds: float = 0.0

    @property
    def verdict(self) -> list[str]:
        """What to use, what is sure and what is not, what is cheaper, what more labels would bring: sentences."""
        return list(sentences(self))

    @property
    def best(self) -> Choice:
        """The highest mean."""
        return self.choices[0]

    def document(self) -> dict[str, Any]:
        """For ``--json``."""

        def pair(one: Pair | None) -> dict[str, Any] | None:
            if one is None:
                return None
            return {"value": one.value, "low": one.low, "high": one.high, "separated": one.separated}

        return {
            "task": self.address,
            "metric": self.metric,
            "backbone": self.encoder,
            "use": self.best.label,
            "cheapest_as_good": self.cheap.label,
            "methods": [
                {
                    "method": one.row.first.method.name,
                    "label": one.label,
                    "mean": one.row.headline,
                    "seeds": list(one.row.seeds),
                    "trials": one.trials,
                    "train_seconds": one.seconds,
                    "trainable_parameters": one.row.mean_cost("trainable_parameters"),
                    "behind": pair(one.behind),
                    "verdict": one.said,
                    "config": one.row.first.method.config,
                }
                for one in self.choices
            ],
            "curve": [{"share": p.share, "mean": p.row.headline, "gain_to_all": pair(p.gain)} for p in self.curve],
            "curve_of": self.learner or None,
            "cut": list(self.cut),
            "notes": list(self.notes),
            "verdict": self.verdict,
            "run": str(self.run),
            "predict": predict_command(self),
        }


def row_of(records: Sequence[RunRecord]) -> Row:
    """The row of runs of one method whose configuration is the same, whatever their presets are called."""
    ordered = tuple(sorted(records, key=lambda record: record.seed))
    return Row(Equals.of(ordered[0]), ordered, why_not_ranked(ordered[0]))


def compared_on_logits(rows: Sequence[Row], files: Mapping[str, Path], open_truth: OpenTruth) -> Compared:
    """Rows of one task, best first, compared on their logits.

    Raises:
        UserError: as :meth:`ltbench.report.pairs.Comparisons.of`.
    """
    ordered = sorted(rows, key=lambda row: -(row.headline or 0.0))
    return compare_rows(ordered, Comparisons.of([ordered], files, open_truth))


def recommendation(
    compared: Compared,
    trials: Mapping[str, int],
    run: Path,
    curve: Compared | None = None,
    cut: Sequence[str] = (),
    notes: Sequence[str] = (),
    has_thresholds: bool = False,
) -> Recommendation:
    """The answer that compared rows give.

    Args:
        compared: a row for each method.
        trials: ``record_sha256`` of the first record of a row → configurations tried.
        run: folder of a run of the best row.
        curve: rows of one method on shares of the training images, all of them included.
        cut: what a budget left out.
        notes: further sentences.
        has_thresholds: the run keeps what thresholds follow from.
    """
    rows = compared.rows
    places = [place for place, row in enumerate(rows) if row.headline is not None]
    labels = labels_of(rows)
    best = places[0]
    choices = {
        place: Choice(
            labels[place], rows[place], trials.get(rows[place].first.record_sha256, 1),
            None if place == best else compared.pairs[best, place],
        )
        for place in places
    }  # fmt: skip
    cheap = cheapest(rows, as_good(compared, places))
    first = rows[best].first
    return Recommendation(
        address=first.task.address,
        metric=first.task.headline,
        encoder=rows[best].equals.encoder,
        choices=tuple(choices.values()),
        cheap=choices[cheap],
        images=0 if first.logits is None else first.logits.rows,
        run=run,
        learner="" if curve is None else curve.rows[0].first.method.name,
        curve=() if curve is None else tuple(_points(curve)),
        cut=tuple(cut),
        notes=tuple(notes),
        has_thresholds=has_thresholds,
    )


def _points(curve: Compared) -> Iterator[Point]:
    """Points from the smallest share to all; rows of a curve carry their share."""
    places = {row.first.share: place for place, row in enumerate(curve.rows)}
    whole = places[None]
    for share in sorted(share for share in places if share is not None):
        place = places[share]
        a, b = min(place, whole), max(place, whole)
        pair = curve.pairs.get((a, b))
        yield Point(share, curve.rows[place], pair if pair is None or a == whole else _turned(pair))
    yield Point(1.0, curve.rows[whole], None)


def _turned(pair: Pair) -> Pair:
    from dataclasses import replace

    low, high = (None if end is None else -end for end in (pair.high, pair.low))
    return replace(pair, value=-pair.value, low=low, high=high)


def predict_command(answer: Recommendation, images: str = "PICTURES") -> str:
    """What to type to use the recommended method."""
    first = answer.best.row.first
    features = "image" not in first.backbone.offers
    limits = "--thresholds f1 " if answer.has_thresholds else ""
    return f"ltbench predict --run {answer.run} {limits}{'FEATURES.npz' if features else images}"


def sentences(answer: Recommendation) -> Iterator[str]:
    """The verdict: what to use, what is sure, what is not, what is cheaper, what more labels would bring."""
    best = answer.best
    yield f"Use {best.label}: {answer.metric} {best.mean} on {answer.images} test images."
    others = answer.choices[1:]
    if not others:
        yield "Nothing was compared with it."
    worse = [one for one in others if one.said == "worse"]
    if worse:
        gap = f"{_points_of(worse[0].behind)} behind"
        near = gap if len(worse) == 1 else f"the nearest of these is {worse[0].label}, {gap}"
        yield f"Sure: it is better than {_list(worse)}; {near}."
    alike = [one for one in others if one.said == "may be as good"]
    for one in alike:
        yield f"Not sure: {one.label} may be as good, {_points_of(one.behind)} behind."
    undecided = [one for one in others if one.said == "undecided"]
    if undecided:
        yield (
            f"Undecided: {_list(undecided)}: below it, and with all pairs counted the test images do not show that "
            "for sure."
        )
    single = [one for one in others if one.behind is not None and one.behind.low is None]
    if single:
        yield f"Nothing is sure of {_list(single)}: one seed says nothing about others."
    if answer.cheap is not best:
        cost = f"{answer.cheap.cost}; {best.label} {best.cost}"
        yield f"As good as far as can be told, and cheaper to train: {answer.cheap.label} ({cost})."
    elif alike:
        yield "None of those that may be as good is cheaper to train."
    yield from _labels(answer)


def _labels(answer: Recommendation) -> Iterator[str]:
    """What more labels would bring."""
    gains = [point for point in answer.curve if point.gain is not None]
    if not gains:
        return
    nearest = gains[-1]
    pair = nearest.gain
    assert pair is not None
    ends = "" if pair.low is None or pair.high is None else f" [{pair.low:+.2f}, {pair.high:+.2f}]"
    told = (
        f"More labels: from {nearest.share:.0%} of the training images to all of them {answer.learner} moved by "
        f"{pair.value:+.2f}{ends}"
    )
    if pair.low is None:
        yield f"{told}; with one seed that is no more than a hint."
    elif pair.low > 0:
        yield f"{told}; as many again would bring about as much or less."
    elif pair.high is not None and pair.high < 0:
        yield f"{told}: more images of the same kind are not what it lacks."
    elif pair.high is not None and pair.high <= LITTLE:
        yield f"{told}: more images of the same kind would bring little."
    else:
        yield f"{told}, which may be nothing; these test images are too few to tell."


def caveats(answer: Recommendation) -> Iterator[str]:
    """What the verdict does not show."""
    yield from (f"The budget left: {text}." for text in answer.cut)
    yield from answer.notes
    if len(answer.choices) > 1:
        yield (
            "The best mean was picked on the test images that it is stated for, so it is a little too high. Numbers in "
            "brackets are 95 % intervals over test images and seeds, each of its pair alone."
        )


def _points_of(pair: Pair | None) -> str:
    assert pair is not None
    ends = "" if pair.low is None or pair.high is None else f" [{pair.low:.2f}, {pair.high:.2f}]"
    return f"{pair.value:.2f}{ends}"


def _list(choices: Sequence[Choice]) -> str:
    names = [one.label for one in choices]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
