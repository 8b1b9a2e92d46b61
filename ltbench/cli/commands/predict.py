"""``ltbench predict``: a trained method applied to new pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ltbench.cli.options import (
    PATH,
    NameList,
    data_root_option,
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
ROWS = 4096
"""Rows of features that are predicted on at a time."""

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
    click.option(
        "--thresholds",
        "rule",
        default=None,
        metavar="RULE",
        help="A threshold for each class, from validation images: f1, or precision:0.9 for a wanted precision.",
    ),
    click.option(
        "--save",
        type=PATH,
        default=None,
        metavar="FILE",
        help="Write all files and classes to a .csv, .json or .parquet: predicted, or why not.",
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
    data_root_option,
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
    rule: str | None,
    save: Path | None,
    drawn_to: Path | None,
    out: Path,
    weights: str | None,
    pairs: tuple[str, ...],
    data_root: Path | None,
    device: str,
    threads: int | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Apply a trained method to new pictures.

    An IMAGE is a file, or a folder with images at any depth, told by their content; or one .npz of features. The data
    set of the run is not needed, but for its first --thresholds. A picture that cannot be read is named, the others are
    done, and the exit code is 1.
    """
    from ltbench.cli.limits import check_rule, limits_of
    from ltbench.cli.names import find_record
    from ltbench.cli.output import note
    from ltbench.cli.prediction_files import check_target, write_predictions
    from ltbench.data.own.pictures import Found, features_among, find_pictures
    from ltbench.records.read import load_record

    go_offline(offline)
    path = find_record(name, out, completed=True)
    record = load_record(path)
    if threshold is not None and not record.method.calibrated:
        raise UserError(
            f"scores of {record.method.name} are no probabilities, so there is no threshold for them",
            f"ltbench predict --run {name} --top 5 …",
        )
    if rule is not None and threshold is not None:
        raise UserError("--threshold and --thresholds exclude each other", "leave one of them out")
    if rule is not None:
        check_rule(rule, class_names)
    if save is not None:
        check_target(save)
    features = features_among(images)
    if features is not None and drawn_to is not None:
        raise UserError("features cannot be drawn", "leave --annotate out")
    found = Found([], [], []) if features is not None else find_pictures(images)
    pictures, problems = found.pictures, found.problems
    for problem in problems:
        note(f"error: {problem}")
    if found.left_out:
        first = ", ".join(str(path) for path in found.left_out[:3])
        more = ", …" if len(found.left_out) > 3 else ""
        note(f"note: {len(found.left_out)} files are no images and were left out: {first}{more}")
    if not pictures and features is None:
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
        features=features,
    )
    for warning in predictor.warnings:
        note(f"warning: {warning}")
    limits = None if rule is None else limits_of(path, rule, data_root, weights)
    showing = Showing.of(predictor, top, threshold, limits, rule or "")
    drawing = None if drawn_to is None else Drawing(drawn_to, pictures)
    if features is not None:
        answers, bad = _of_features(predictor, features), dict[Path, UserError]()
    else:
        answers, bad = _answers(predictor, pictures, showing, drawing)
    problems = [*problems, *bad.values()]
    if save is not None:
        write_predictions(save, showing, answers, bad, found.left_out, problems)
        note(f"{save}: {len(answers)} predicted, {len(bad)} not readable, {len(found.left_out)} no images")
    if as_json:
        from ltbench.cli.output import print_json

        print_json(predictions_json(showing, answers, problems, found.left_out))
    elif answers and (save is None or len(answers) <= BATCH):
        print_predictions(showing, answers, drawn_to)
    if problems:
        ctx.exit(1)


def _answers(
    predictor: Predictor, pictures: list[Picture], showing: Showing, drawing: Drawing | None
) -> tuple[list[Answer], dict[Path, UserError]]:
    """Answers for all pictures that can be read, a batch at a time, and what is wrong with each of the others."""
    from ltbench.cli.output import note
    from ltbench.cli.predictions import Answer
    from ltbench.cli.reporting import reporter
    from ltbench.data.progress import SILENT

    answers: list[Answer] = []
    problems: dict[Path, UserError] = {}
    says = reporter() if len(pictures) > BATCH else SILENT
    with predictor, says.task("predicting", len(pictures)) as advance:
        for start in range(0, len(pictures), BATCH):
            loaded = []
            for picture in pictures[start : start + BATCH]:
                try:
                    loaded.append((picture, picture.load(predictor.least_side)))
                except UserError as error:
                    note(f"error: {error}")
                    problems[picture.path] = error
            if loaded:
                logits = predictor.logits([image for _, image in loaded])
                for (picture, _), row in zip(loaded, logits, strict=True):
                    # What is drawn on is seen at full size, which the encoder need not.
                    place = None if drawing is None else drawing.draw(showing, picture, picture.load(), row)
                    answers.append(Answer(str(picture.path), row, place))
            advance(len(pictures[start : start + BATCH]))
    return answers, problems


def _of_features(predictor: Predictor, path: Path) -> list[Answer]:
    """Answers for all rows of a feature file."""
    from ltbench.cli.predictions import Answer
    from ltbench.data.feature_file import read_features

    names, features = read_features(path)
    answers = []
    with predictor:
        for start in range(0, len(names), ROWS):
            logits = predictor.logits_of_features(features[start : start + ROWS])
            answers += [Answer(name, row) for name, row in zip(names[start : start + ROWS], logits, strict=True)]
    return answers
