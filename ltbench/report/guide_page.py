"""The first page of all leaderboards, their ``README.md``: what to use and what it costs, on one screen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_atomic
from ltbench.report.board import human
from ltbench.report.cells import Cell, Table, score_cell
from ltbench.report.guide import Advice, Guide
from ltbench.report.markdown import table_text, wrapped
from ltbench.report.rows import Row
from ltbench.report.verdict import holds_zero

NAME = "README.md"
#: What a page of this module begins with; a file of that name without it is somebody's own and never written over.
MARK = "# What to use"


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
