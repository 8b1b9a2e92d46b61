"""``ltbench task``: a task from a user's own photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ltbench.cli.lazy import LazyGroup
from ltbench.cli.options import PATH, json_option, stack
from ltbench.cli.output import say
from ltbench.plugin.errors import UserError

if TYPE_CHECKING:
    from ltbench.data.own.annotated import Format
    from ltbench.data.own.table import Minus

_HERE = "ltbench.cli.commands.task"
TASKS = {"new": (f"{_HERE}:new", "Make a task from a folder of images and labels.")}
FORMATS = ("csv", "matrix", "coco", "voc", "folder")
ROLES = "file, labels, split, unknown, value, group or ignore"


@click.group("task", cls=LazyGroup, lazy=TASKS)
def group() -> None:
    """Make a task from your own photographs."""


OPTIONS = [
    click.option("--labels", type=PATH, default=None, help="Table (CSV, Excel, parquet), COCO JSON, or a folder."),
    click.option("--images", type=PATH, default=None, help="Folder that the images lie in."),
    click.option("--no-images", is_flag=True, help="There are features only."),
    click.option("--features", type=PATH, default=None, help="FILE.npz with files and features: the default backbone."),
    click.option(
        "--format",
        "layout",
        type=click.Choice(FORMATS),
        default=None,
        help="Of the labels. [default: guessed, and said]",
    ),
    click.option(
        "--sep", metavar="SIGN", default=None, help="What joins the labels of a cell. [default: guessed, and said]"
    ),
    click.option(
        "--column", "columns", multiple=True, metavar="ROLE=NAME", help=f"Name of a column that is {ROLES}; repeatable."
    ),
    click.option(
        "--group",
        "group_column",
        metavar="COLUMN",
        default=None,
        help="Rows that share a value here (scene, patient) stay in one part.",
    ),
    click.option(
        "--minus",
        type=click.Choice(["absent", "unknown"]),
        default=None,
        help="What -1 means in a matrix. [default: guessed, and said]",
    ),
    click.option(
        "--absent",
        type=click.Choice(["negative", "unknown"]),
        default="negative",
        show_default=True,
        help="What classes are that a training image does not name.",
    ),
    click.option(
        "--classes", type=PATH, default=None, help="Class names, one a line. [default: all that occur, sorted]"
    ),
    click.option(
        "--validation",
        type=click.FloatRange(0, 1, max_open=True),
        metavar="SHARE",
        default=None,
        help="Share of the training images to hold out, e.g. 0.2; ltbench tune needs it. [default: split val, or none]",
    ),
    click.option(
        "--test-share",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        metavar="SHARE",
        default=None,
        help="Share of test images where the labels name no parts. [default: 0.3]",
    ),
    click.option("--split-seed", type=int, metavar="N", default=0, show_default=True, help="Seed of that split."),
    click.option(
        "--protocol",
        metavar="PROTOCOL",
        default="",
        help="Hide complete labels: partial:0.5, single-positive, plt:0.4, long-tail or unseen:NAME,NAME.",
    ),
    click.option(
        "--head-from",
        type=click.IntRange(1),
        metavar="N",
        default=100,
        show_default=True,
        help="A class with as many training images is head.",
    ),
    click.option(
        "--medium-from",
        type=click.IntRange(0),
        metavar="N",
        default=20,
        show_default=True,
        help="A class with as many is medium, with fewer tail.",
    ),
    click.option("--skip-bad", is_flag=True, help="Leave out lines and images that are no good, and list them."),
    click.option(
        "--accept",
        type=click.Choice(["names", "duplicates"]),
        multiple=True,
        help="Names that look alike; test images that equal training images; repeatable.",
    ),
    click.option("--out", type=PATH, default=Path("ltbench-tasks"), show_default=True, help="Folder of the tasks."),
    json_option,
]


@click.command()
@click.argument("name", metavar="NAME")
@stack(OPTIONS)
def new(
    name: str,
    labels: Path | None,
    images: Path | None,
    no_images: bool,
    features: Path | None,
    layout: Format | None,
    sep: str | None,
    columns: tuple[str, ...],
    group_column: str | None,
    minus: Minus | None,
    absent: Literal["negative", "unknown"],
    classes: Path | None,
    validation: float | None,
    test_share: float | None,
    split_seed: int,
    protocol: str,
    head_from: int,
    medium_from: int,
    skip_bad: bool,
    accept: tuple[str, ...],
    out: Path,
    as_json: bool,
) -> None:
    """Make a task from a folder of images and labels.

    A table has the columns file and labels, joined by bars, as in a.jpg,cat|dog, or one row a label, or one column of
    0 and 1 a class; split (train, val, test) may be left out. COCO JSON, Pascal VOC folders and a folder for each class
    are read as well.

    Images stay where they are. The same command again changes nothing, or makes a new version if the data changed.
    """
    if (images is None) != no_images:
        said = "--images and --no-images exclude each other" if images else "where are the images?"
        raise UserError(said, "--images DIR, or --no-images with --features FILE.npz")
    if no_images and features is None:
        raise UserError("a task without images needs features", "--features FILE.npz")
    if labels is None and layout != "folder":
        raise UserError("where are the labels?", "--labels FILE, or --format folder for a folder a class")
    roles = _roles(columns)
    if group_column is not None:
        roles["group"] = group_column
    from ltbench.cli.output import print_json
    from ltbench.cli.reporting import reporter
    from ltbench.tasks.own.new import Order, create_task

    source = labels if labels is not None else images
    assert source is not None
    created = create_task(
        Order(
            name=name,
            labels=source,
            images=images,
            out=out,
            classes=classes,
            features=features,
            validation=validation,
            test_share=test_share,
            split_seed=split_seed,
            format=layout,
            sep=sep,
            minus=minus,
            columns=roles,
            absent=absent,
            skip_bad=skip_bad,
            accept=frozenset(accept),
            protocol=protocol,
            head_from=head_from,
            medium_from=medium_from,
        ),
        reporter(),
    )
    if as_json:
        print_json(
            {
                "name": name,
                "version": created.task.version,
                "changed": created.changed,
                "rows": created.rows,
                "classes": len(created.task.classes),
                "ranked": created.task.ranked,
                "notes": list(created.notes),
                "left_out": list(created.left_out),
                "path": str(created.folder),
            }
        )
        return
    rows = ", ".join(f"{count} {part}" for part, count in created.rows.items())
    state = "" if created.changed else ", unchanged"
    say(f"Task {name} version {created.task.version}{state}: {rows} images, {len(created.task.classes)} classes.")
    for note in created.notes:
        say(f"Note: {note}.")
    say(f"Folder: {created.folder}")
    address = name if out == Path("ltbench-tasks") else str(created.folder)
    backbone = "" if features is not None else " --backbone timm:resnet18"
    method = "zero-shot" if created.task.unseen else "linear-probe-lbfgs"
    backbone = " --backbone clip-rn50" if created.task.unseen and features is None else backbone
    say(f"Next: ltbench run --task {address} --method {method}{backbone}")


def _roles(columns: tuple[str, ...]) -> dict[str, str]:
    """``ROLE=NAME`` as a mapping; names to ignore may be several."""
    found: dict[str, str] = {}
    for text in columns:
        role, equals, column = text.partition("=")
        if not equals or role not in ("file", "labels", "split", "unknown", "value", "group", "ignore") or not column:
            raise UserError(f"--column {text}: a role is {ROLES}", "--column file=NAME")
        found[role] = f"{found[role]},{column}" if role == "ignore" and role in found else column
    return found
