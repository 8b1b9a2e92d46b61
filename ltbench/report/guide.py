"""What to use for which problem, and what it costs: one screen from the committed records, ``README.md`` of them all.

For each problem and what a reader has of an encoder: the row that is best by its mean, the rows whose difference to it
may be zero, and the cheapest of these. Pairs are those of the page of the task. What is called *as good* goes by the
interval of the pair alone, what is called better by Holm's correction for all pairs: each claim by the stricter one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_atomic
from ltbench.records.record import RunRecord
from ltbench.report.board import human, labels_of
from ltbench.report.cells import Cell, Table, score_cell
from ltbench.report.markdown import table_text, wrapped
from ltbench.report.pairs import Comparisons
from ltbench.report.ranks import Compared, compare_rows
from ltbench.report.rows import Row, make_rows
from ltbench.report.verdict import as_good, cheapest, holds_zero
from ltbench.tasks.task import Task

if TYPE_CHECKING:
    from ltbench.metrics.pairs import Pair

NAME = "README.md"
#: What a page of this module begins with; a file of that name without it is somebody's own and never written over.
MARK = "# What to use"
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


def render_guide(guide: Guide) -> str:
    """The page, Markdown."""
    photographs = sorted({line.address.partition("@")[0] for line in guide.lines if _on_photos(line)})
    answered = [line for line in guide.lines if line.best is not None]
    blocks = [
        MARK,
        wrapped(
            "For each problem, by what you have of an encoder: the recipe with the best mean, what it gains over a "
            "plain recipe, how many rows may be as good, and the cheapest of these. Figures are percent over "
            "all classes, means over seeds ± half the width of their 95 % t interval; a difference has its 95 % "
            "interval over test images and seeds in brackets. Costs are seconds of training and trained parameters."
        ),
        table_text(_table(guide.lines), width=400),
        "### What this does not show",
        "\n".join(wrapped(f"* {text}").replace("\n", "\n  ") for text in _limits(guide, answered, bool(photographs))),
    ]
    if guide.boards:
        listed = ", ".join(f"[{name}]({address})" for name, address in guide.boards)
        blocks.append(f"More: {listed}.")
    blocks.append("Written by `ltbench leaderboard --matrix` from the records in these folders.")
    return "\n\n".join(blocks) + "\n"


def _on_photos(line: Advice) -> bool:
    return line.address == line.problem.photos


def _table(lines: Sequence[Advice]) -> Table:
    body = []
    shown = None
    for line in lines:
        problem = "" if line.problem.name == shown else line.problem.name
        shown = line.problem.name
        if line.best is None or line.cheapest is None:
            cells = ["no row yet", *("–" for _ in range(7))]
        else:
            (name, row), (cheap, cheap_row) = line.best, line.cheapest
            cells = [
                name,
                score_cell(row.score(line.metric, "total")).text,
                _cost(row),
                _over_plain(line),
                f"{line.alike} of {line.rows}",
                "the same" if line.behind is None else f"{cheap}, {-line.behind.value:+.2f}{_interval(line)}",
                "" if line.behind is None else _cost(cheap_row),
                f"[{line.address}]({line.folder}/README.md), {line.encoder}",
            ]
        *plain, source = (Cell(text) for text in (problem, line.means.name, *cells))
        body.append((*plain, replace(source, markdown=True)))
    columns = (
        "problem", "you have", "best by mean", "mAP", "cost", "over a plain recipe", "as good", "cheapest as good",
        "its cost", "from",
    )  # fmt: skip
    return Table("What to use", columns, tuple(False for _ in columns), tuple(body))


def _interval(line: Advice) -> str:
    pair = line.behind
    return "" if pair is None or pair.low is None or pair.high is None else f" [{-pair.high:.2f}, {-pair.low:.2f}]"


def _over_plain(line: Advice) -> str:
    if line.plain is None:
        return "–"
    name, pair = line.plain
    if pair is None:
        return f"is {name}"
    ends = "" if pair.low is None or pair.high is None else f" [{pair.low:.2f}, {pair.high:.2f}]"
    said = "" if pair.separated else (", may be none" if holds_zero(pair) else ", undecided")
    return f"{pair.value:+.2f}{ends} {name}{said}"


def _cost(row: Row) -> str:
    seconds, parameters = row.mean_cost("train_seconds"), row.mean_cost("trainable_parameters")
    return ", ".join(["–" if seconds is None else _seconds(seconds), "–" if parameters is None else human(parameters)])


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.0f} min"


def _limits(guide: Guide, answered: Sequence[Advice], photographs: bool) -> Iterable[str]:
    drawn = [line for line in answered if not _on_photos(line)]
    if not photographs:
        yield (
            "**No line rests on photographs yet.** All are from drawn shapes of 64 x 64 pixels, and a small encoder "
            "that was trained on such drawings; whether they hold for photographs is not known."
        )
    elif drawn:
        named = ", ".join(dict.fromkeys(f"{line.problem.name} with {line.means.name}" for line in drawn))
        yield f"These lines are from drawn shapes, as nothing ran on photographs: {named}."
    empty = [line for line in guide.lines if line.best is None]
    if empty:
        named = "; ".join(
            f"{means} ({', '.join(line.problem.name for line in lines)})"
            for means, lines in groupby(sorted(empty, key=lambda line: line.means.name), key=lambda x: x.means.name)
        )
        yield f"No recipe has a ranked row, so nothing is said, for: {named}."
    yield (
        "*As good* means that zero lies in the 95 % interval of the difference. It does not mean equal: the interval "
        "says how far apart the two may be. *Undecided* means that zero lies outside, and the pair is still not "
        "separated at 5 % once all pairs of the leaderboard are counted. A row of one seed is never called as good."
    )
    yield (
        "The best mean was picked among many, on the test images that it is stated for, so it is a little too high. "
        "Each interval is of its pair alone."
    )
    if answered:
        images = sorted({line.images for line in answered})
        seeds = sorted({len(line.seeds) for line in answered})
        encoders = ", ".join(dict.fromkeys(line.encoder for line in answered))
        devices = "; ".join(dict.fromkeys(device for line in answered for device in line.devices))
        yield (
            f"One encoder stands for each kind of weights ({encoders}), {_range(images)} test images, 20 classes, "
            f"{_range(seeds)} seeds: other encoders and data may order recipes otherwise. Presets say on the pages "
            "whether they were tuned."
        )
        yield f"Seconds are training alone, without encoding images, on: {devices}."
    if any(line.means.features for line in answered):
        yield (
            "*Features only* takes recipes that ask for one feature an image and no text. The features are those of "
            "the encoder named in the line."
        )
    for line in answered:
        if line.elsewhere is not None and line.best is not None:
            name, extras, mean = line.elsewhere
            yield (
                f"{line.address}, {line.means.name}: {name} reached {mean:.2f} with {extras}, which the rows here did "
                "not have; it is not compared with them."
            )


def _range(numbers: Sequence[int]) -> str:
    return f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"


def is_own(path: Path) -> bool:
    """Whether a file may be written over: there is none, or it is a page of this module."""
    return (
        not path.exists() or re.match(re.escape(MARK), path.read_text(encoding="utf-8", errors="replace")) is not None
    )


def write_guide(leaderboards: Path, guide: Guide) -> list[Path]:
    """Write the page.

    Raises:
        UserError: there is another file of its name, or it cannot be written.
    """
    path = leaderboards / NAME
    if not is_own(path):
        raise UserError(
            f"{path} is not a page of ltbench and is left as it is", f"mv {path} {leaderboards / 'notes.md'}"
        )
    write_atomic(path, render_guide(guide))
    return [path]


def stale_guide(leaderboards: Path, guide: Guide) -> list[Path]:
    """The page, if it is not what the records give; a file of that name that is not ours is not looked at."""
    path = leaderboards / NAME
    if not is_own(path):
        return []
    return [] if path.exists() and path.read_bytes() == render_guide(guide).encode("utf-8") else [path]
