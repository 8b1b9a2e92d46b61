"""``ltbench task``: a task from a user's own photographs."""

from __future__ import annotations

from pathlib import Path

import click

from ltbench.cli.lazy import LazyGroup
from ltbench.cli.options import PATH, json_option
from ltbench.cli.output import say
from ltbench.plugin.errors import UserError

_HERE = "ltbench.cli.commands.task"
TASKS = {"new": (f"{_HERE}:new", "Make a task from a folder of images and a CSV.")}


@click.group("task", cls=LazyGroup, lazy=TASKS)
def group() -> None:
    """Make a task from your own photographs."""


@click.command()
@click.argument("name", metavar="NAME")
@click.option(
    "--labels", type=PATH, required=True, help="CSV with columns file, labels and, if wanted, split, unknown."
)
@click.option("--images", type=PATH, default=None, help="Folder that the files of the CSV lie in.")
@click.option("--no-images", is_flag=True, help="There are features only.")
@click.option("--features", type=PATH, default=None, help="FILE.npz with files and features: the default backbone.")
@click.option("--classes", type=PATH, default=None, help="Class names, one a line. [default: all that occur, sorted]")
@click.option(
    "--validation",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="SHARE",
    default=None,
    help="Share of the training images to hold out, e.g. 0.2: needed by ltbench tune. [default: split val, or none]",
)
@click.option(
    "--test-share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    default=None,
    help="Share of test images where the CSV has no column split. [default: 0.3]",
)
@click.option("--split-seed", type=int, metavar="N", default=0, show_default=True, help="Seed of that split.")
@click.option("--out", type=PATH, default=Path("ltbench-tasks"), show_default=True, help="Folder of the tasks.")
@json_option
def new(
    name: str,
    labels: Path,
    images: Path | None,
    no_images: bool,
    features: Path | None,
    classes: Path | None,
    validation: float | None,
    test_share: float | None,
    split_seed: int,
    out: Path,
    as_json: bool,
) -> None:
    """Make a task from a folder of images and a CSV.

    A line of the CSV is an image: file,split,labels with labels joined by bars, as in a.jpg,train,cat|dog. The column
    split (train, val, test) may be left out; the column unknown names classes of which nobody knows.

    Images stay where they are. The same command again changes nothing, or makes a new version if the data changed.
    """
    if (images is None) != no_images:
        said = "--images and --no-images exclude each other" if images else "where are the images?"
        raise UserError(said, "--images DIR, or --no-images with --features FILE.npz")
    if no_images and features is None:
        raise UserError("a task without images needs features", "--features FILE.npz")
    from ltbench.cli.output import print_json
    from ltbench.cli.reporting import reporter
    from ltbench.tasks.own.new import Order, create_task

    created = create_task(
        Order(
            name=name,
            labels=labels,
            images=images,
            out=out,
            classes=classes,
            features=features,
            validation=validation,
            test_share=test_share,
            split_seed=split_seed,
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
                "notes": list(created.notes),
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
    say(f"Next: ltbench run --task {address} --method linear-probe-lbfgs{backbone}")
