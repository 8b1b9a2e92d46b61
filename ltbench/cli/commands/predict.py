"""``ltbench predict``: a trained method applied to new pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ltbench.cli.options import (
    PATH,
    NameList,
    device_option,
    go_offline,
    json_option,
    method_files_option,
    offline_option,
    out_option,
    parse_overrides,
    stack,
)
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from ltbench.cli.predictions import Answer, Drawing, Showing
    from ltbench.data.own.pictures import Picture
    from ltbench.engine.predict import Predictor

BATCH = 32
"""Pictures that are decoded and encoded at a time."""

OPTIONS = [
    click.option(
        "--run", "name", required=True, metavar="RUN", help="A record, its folder, or the first digits of its key."
    ),
    click.option(
        "--classes",
        "class_names",
        type=NameList(),
        default=None,
        help="Answer for these class names instead; methods with an open class set only.",
    ),
    click.option(
        "--top", type=click.IntRange(1), metavar="K", default=None, help="Show the K highest, present or not."
    ),
    click.option(
        "--threshold",
        type=click.FloatRange(0, 1),
        metavar="P",
        default=None,
        help="A class is present above this probability. [default: 0.5]",
    ),
    click.option("--annotate", "drawn_to", type=PATH, default=None, metavar="DIR", help="Draw each picture with bars."),
    method_files_option,
    out_option,
    click.option(
        "--weights", default=None, metavar="FILE", help="The backbone's weights, where the run's came from a file."
    ),
    click.option(
        "-o", "pairs", multiple=True, metavar="KEY=FILE", help="Where a file named by an option lies; repeatable."
    ),
    device_option,
    click.option(
        "--threads", type=click.IntRange(1), metavar="N", default=None, help="CPU threads. [default: those of the run]"
    ),
    offline_option,
    json_option,
]


@click.command()
@click.argument("images", nargs=-1, required=True, type=PATH, metavar="IMAGE…")
@stack(OPTIONS)
@click.pass_context
def predict(
    ctx: click.Context,
    images: tuple[Path, ...],
    name: str,
    class_names: tuple[str, ...] | None,
    top: int | None,
    threshold: float | None,
    drawn_to: Path | None,
    out: Path,
    weights: str | None,
    pairs: tuple[str, ...],
    device: str,
    threads: int | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Apply a trained method to new pictures.

    An IMAGE is a file, or a folder with images at any depth, told by their content. The data set of the run is not
    needed. A picture that cannot be read is named, the others are done, and the exit code is 1.
    """
    from ltbench.cli.names import find_record
    from ltbench.cli.output import note
    from ltbench.data.own.pictures import find_pictures
    from ltbench.records.read import load_record

    go_offline(offline)
    path = find_record(name, out, completed=True)
    record = load_record(path)
    if threshold is not None and not record.method.calibrated:
        raise UserError(
            f"scores of {record.method.name} are no probabilities, so there is no threshold for them",
            f"ltbench predict --run {name} --top 5 …",
        )
    found = find_pictures(images)
    pictures, problems = found.pictures, found.problems
    for problem in problems:
        note(f"error: {problem}")
    if found.left_out:
        first = ", ".join(str(path) for path in found.left_out[:3])
        more = ", …" if len(found.left_out) > 3 else ""
        note(f"note: {len(found.left_out)} files are no images and were left out: {first}{more}")
    if not pictures:
        ctx.exit(1)
    from ltbench.cli.predictions import Drawing, Showing, predictions_json, print_predictions
    from ltbench.engine.predict import open_run

    predictor = open_run(
        path,
        class_names=class_names,
        overrides=parse_overrides(pairs),
        weights=weights,
        device=device,
        threads=threads,
    )
    for warning in predictor.warnings:
        note(f"warning: {warning}")
    showing = Showing.of(predictor, top, threshold)
    drawing = None if drawn_to is None else Drawing(drawn_to, pictures)
    answers, bad = _answers(predictor, pictures, showing, drawing)
    problems = [*problems, *bad]
    if as_json:
        from ltbench.cli.output import print_json

        print_json(predictions_json(showing, answers, problems, found.left_out))
    elif answers:
        print_predictions(showing, answers, drawn_to)
    if problems:
        ctx.exit(1)


def _answers(
    predictor: Predictor, pictures: list[Picture], showing: Showing, drawing: Drawing | None
) -> tuple[list[Answer], list[UserError]]:
    """Answers for all pictures that can be read, a batch at a time, and what is wrong with the others."""
    from ltbench.cli.output import note
    from ltbench.cli.predictions import Answer
    from ltbench.cli.reporting import reporter
    from ltbench.data.progress import SILENT

    answers: list[Answer] = []
    problems: list[UserError] = []
    says = reporter() if len(pictures) > BATCH else SILENT
    with predictor, says.task("predicting", len(pictures)) as advance:
        for start in range(0, len(pictures), BATCH):
            loaded = []
            for picture in pictures[start : start + BATCH]:
                try:
                    loaded.append((picture, picture.load()))
                except UserError as error:
                    note(f"error: {error}")
                    problems.append(error)
            if loaded:
                logits = predictor.logits([image for _, image in loaded])
                for (picture, image), row in zip(loaded, logits, strict=True):
                    place = None if drawing is None else drawing.draw(showing, picture, image, row)
                    answers.append(Answer(picture, row, place))
            advance(len(pictures[start : start + BATCH]))
    return answers, problems
