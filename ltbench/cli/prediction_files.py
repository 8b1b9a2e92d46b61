"""Predictions as a file: a row for each file that was looked at, with what was predicted or why nothing was."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ltbench.plugin.clean import csv_text
from ltbench.plugin.errors import UserError
from ltbench.plugin.files import write_atomic, write_with

if TYPE_CHECKING:
    import pandas as pd

    from ltbench.cli.predictions import Answer, Showing

ENDINGS: Final = (".csv", ".json", ".parquet")
#: Columns before those of the classes.
FIRST: Final = ("file", "status", "why", "present")
NO_IMAGE: Final = "no image"


def check_target(path: Path) -> None:
    """Refuse a file that cannot be written as asked, before anything is opened.

    Raises:
        UserError: another ending; or parquet, and what writes it is not installed.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"--save {path}: the ending says the form, one of {', '.join(ENDINGS)}", "--save FILE.csv")
    if path.suffix.lower() == ".parquet" and find_spec("pyarrow") is None:
        raise UserError("parquet needs pyarrow", "pip install 'ltbench[parquet]'")


def write_predictions(
    path: Path,
    showing: Showing,
    answers: Sequence[Answer],
    bad: Mapping[Path, UserError],
    left_out: Sequence[Path],
    problems: Sequence[UserError],
) -> None:
    """Write the file, whole or not at all.

    Args:
        bad: picture → why it could not be read.
        left_out: files that are no images.
        problems: all that went wrong, for JSON.

    Raises:
        UserError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".json":
        from ltbench.cli.predictions import predictions_json

        document = predictions_json(showing, answers, problems, left_out)
        write_atomic(path, json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        return
    frame = table(showing, answers, bad, left_out)
    if path.suffix.lower() == ".csv":
        write_atomic(path, csv_text(frame))
    else:
        write_with(path, lambda file: frame.to_parquet(file, index=False))


def table(
    showing: Showing, answers: Sequence[Answer], bad: Mapping[Path, UserError], left_out: Sequence[Path]
) -> pd.DataFrame:
    """A row for each file: ``file``, ``status`` (predicted, skipped), ``why``, ``present`` (joined by bars; empty where
    nothing decides), and a column for each class: its probability, or its score where that is none.

    A class that is called like one of the first columns gets ``class `` before its name.
    """
    import pandas as pd

    names = [f"class {name}" if name in FIRST else name for name in showing.class_names]
    rows: list[list[Any]] = []
    for answer in answers:
        labels = {label.name: label for label in showing.ranked(answer.logits)}
        inside = "|".join(name for name in showing.class_names if labels[name].present)
        values = [
            labels[name].logit if labels[name].probability is None else labels[name].probability
            for name in showing.class_names
        ]
        rows.append([answer.name, "predicted", "", inside, *values])
    for place, error in bad.items():
        rows.append([str(place), "skipped", error.message, "", *[None] * len(names)])
    rows += [[str(place), "skipped", NO_IMAGE, "", *[None] * len(names)] for place in left_out]
    return pd.DataFrame(rows, columns=[*FIRST, *names])
