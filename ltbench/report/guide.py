"""What to use for which problem, and what it costs: one answer a line, from the committed records.

For each problem and what a reader has of an encoder: the row that is best by its mean, the rows whose difference to it
may be zero, and the cheapest of these. Pairs are those of the page of the task. What is called *as good* goes by the
interval of the pair alone, what is called better by Holm's correction for all pairs: each claim by the stricter one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from ltbench.records.record import RunRecord
from ltbench.report.board import labels_of
from ltbench.report.pairs import Comparisons
from ltbench.report.ranks import Compared, compare_rows
from ltbench.report.rows import Row, make_rows
from ltbench.report.verdict import as_good, cheapest
from ltbench.tasks.task import Task

if TYPE_CHECKING:
    from ltbench.metrics.pairs import Pair

#: Recipes that a reader would try first, the first that ran being the one that others are held against.
PLAIN = ("linear-probe", "zero-shot")


@dataclass(frozen=True)
class Problem:
    """A question, and the tasks that answer it: on photographs, and where nothing ran there, on drawn shapes."""

    name: str
    photos: str
    shapes: str

    @property
    def addresses(self) -> tuple[str, str]:
        """Tasks in the order in which they are asked."""
        return (self.photos, self.shapes)


@dataclass(frozen=True)
class Means:
    """What a reader has of an encoder.

    Attributes:
        backbones: that stand for it, the first that ran first.
        features: only recipes that use one feature an image, and no text tower.
    """

    name: str
    backbones: tuple[str, ...]
    features: bool = False


#: One setting of each family: 40 % of labels missing and half of them known lie in the middle of what papers report.
PROBLEMS = (
    Problem("long tail", "photos-lt", "shapes-lt"),
    Problem("partial labels", "photos-partial@p50", "shapes-partial@p50"),
    Problem("single positive", "photos-spml", "shapes-spml"),
    Problem("partial + tail", "photos-plt@mr40", "shapes-plt@mr40"),
    Problem("unseen classes", "photos-zsl", "shapes-zsl"),
)
PHOTOS, IMAGENET, SHAPES = "lite0-minilm", "lite0", "tiny-clip"
MEANS = (
    Means("CLIP-like weights", (PHOTOS, SHAPES)),
    Means("ImageNet weights", (IMAGENET,)),
    Means("features only", (IMAGENET, PHOTOS, SHAPES), features=True),
)

#: Whether a row's recipe asks its encoder for one feature an image, and nothing else.
FeaturesAlone = Callable[[Row], bool]


@dataclass(frozen=True)
class Standing:
    """The leaderboard of one task setting, as far as it is asked here.

    Attributes:
        folder: of the leaderboard, relative to that of all of them.
        sections: rows that rank among themselves, compared, with a name for each.
    """

    task: Task
    folder: str
    sections: tuple[tuple[Compared, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Advice:
    """A line of the page.

    Attributes:
        address: task that answers; empty where none has a row.
        encoder: that the rows stand on.
        best: name and row of the best mean.
        alike: rows whose difference to it may be zero, itself among them.
        rows: all that were compared.
        cheapest: of ``alike``, by seconds of training, then by parameters.
        behind: the best minus the cheapest; None where they are one row.
        plain: name of the plain recipe, and the best minus its row; None where it is the best itself.
        elsewhere: a better mean among rows that used what these had not: name, what it used, mean.
        metric: what is compared.
        device: that seconds were measured on.
    """

    problem: Problem
    means: Means
    address: str = ""
    folder: str = ""
    encoder: str = ""
    best: tuple[str, Row] | None = None
    alike: int = 0
    rows: int = 0
    cheapest: tuple[str, Row] | None = None
    behind: Pair | None = None
    plain: tuple[str, Pair | None] | None = None
    elsewhere: tuple[str, str, float] | None = None
    metric: str = ""
    devices: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    images: int = 0


@dataclass(frozen=True)
class Guide:
    """The page before it is written."""

    lines: tuple[Advice, ...]
    boards: tuple[tuple[str, str], ...] = field(default=())


def build_guide(
    standings: Iterable[Standing], features_alone: FeaturesAlone, boards: Iterable[tuple[str, str]] = ()
) -> Guide:
    """Answer every question.

    Args:
        standings: leaderboards at hand, see :func:`standing_of`.
        features_alone: tells rows that need nothing of an encoder but one feature an image.
        boards: name and address of the pages to list.
    """
    known = {standing.task.address: standing for standing in standings}
    lines = [advise(problem, means, known, features_alone) for problem in PROBLEMS for means in MEANS]
    return Guide(tuple(lines), tuple(boards))


def standing_of(task: Task, folder: str, records: Iterable[RunRecord], comparisons: Comparisons) -> Standing:
    """Compare the ranked rows of one task setting, section by section, as its page does."""
    ranked = [row for row in make_rows(records) if not row.why_not]
    sections = []
    for _, members in groupby(ranked, key=lambda row: row.equals):
        rows = list(members)
        sections.append((compare_rows(rows, comparisons), tuple(labels_of(rows))))
    return Standing(task, folder, tuple(sections))


def advise(
    problem: Problem, means: Means, known: dict[str, Standing], features_alone: FeaturesAlone = lambda row: True
) -> Advice:
    """What the first leaderboard that has rows says; photographs are asked before shapes."""
    for address in problem.addresses:
        for backbone in means.backbones:
            made = None if address not in known else _asked(problem, means, known[address], backbone, features_alone)
            if made is not None:
                return made
    return Advice(problem, means)


def _asked(
    problem: Problem, means: Means, standing: Standing, backbone: str, features_alone: FeaturesAlone
) -> Advice | None:
    here = [section for section in standing.sections if section[0].rows[0].equals.backbone == backbone]
    alone = [section for section in here if not section[0].rows[0].equals.extras]
    if not alone:
        return None
    # Sections of one encoder differ by its arithmetic or the size of its images; most recipes are in one of them.
    compared, labels = max(alone, key=lambda section: len(section[0].rows))
    places = [
        place
        for place, row in enumerate(compared.rows)
        if row.headline is not None and (not means.features or features_alone(row))
    ]
    if not places:
        return None
    best = places[0]
    alike = as_good(compared, places)
    cheap = cheapest(compared.rows, alike)
    row = compared.rows[best]
    devices = sorted({record.cost.device for place in alike for record in compared.rows[place].records})
    logits = row.first.logits
    return Advice(
        problem,
        means,
        address=standing.task.address,
        folder=standing.folder,
        encoder=row.equals.encoder,
        best=(labels[best], row),
        alike=len(alike),
        rows=len(places),
        cheapest=(labels[cheap], compared.rows[cheap]),
        behind=None if cheap == best else compared.pairs[best, cheap],
        plain=_plain(compared, labels, best),
        elsewhere=_elsewhere(row, [section for section in here if section not in alone], means, features_alone),
        metric=row.first.task.headline,
        devices=tuple(devices),
        seeds=row.seeds,
        images=logits.rows if logits else 0,
    )


def _plain(compared: Compared, labels: Sequence[str], best: int) -> tuple[str, Pair | None] | None:
    for name in PLAIN:
        found = [
            place
            for place, row in enumerate(compared.rows)
            if row.first.method.name == name and row.headline is not None
        ]
        if len(found) == 1:
            (place,) = found
            return labels[place], None if place == best else compared.pairs.get((best, place))
    return None


def _elsewhere(
    best: Row,
    sections: Sequence[tuple[Compared, tuple[str, ...]]],
    means: Means,
    features_alone: FeaturesAlone,
) -> tuple[str, str, float] | None:
    above = [
        (row.headline, label, ", ".join(row.equals.extras))
        for compared, labels in sections
        for row, label in zip(compared.rows, labels, strict=True)
        if row.headline is not None
        and row.headline > (best.headline or 0.0)
        and (not means.features or features_alone(row))
    ]
    if not above:
        return None
    mean, label, extras = max(above)
    return label, extras, mean
