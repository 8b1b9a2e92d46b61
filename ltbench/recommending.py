"""Which method for a task: what the engine tried becomes the answer and its report, as rows of a board do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ltbench.data.progress import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

    from ltbench.backbones.options import EncodeDtype
    from ltbench.engine.wish import Outcome
    from ltbench.method.method import Method
    from ltbench.records.verify import OpenTruth
    from ltbench.report.recommend_page import LoadPicture
    from ltbench.report.recommendation import Recommendation
    from ltbench.tasks.task import Task


def recommend(
    task: str | Task,
    backbone: str | None = None,
    *,
    methods: Sequence[str | type[Method]] = ("suggested",),
    budget: str | None = None,
    trials: int = 8,
    seeds: Sequence[int] = (0, 1, 2),
    weights: str | None = None,
    image_size: int | None = None,
    dtype: EncodeDtype = "float32",
    device: str = "auto",
    threads: int = 1,
    workers: int | None = None,
    data_root: Path | None = None,
    out: str | Path = "ltbench-runs",
    report: str | Path | None = None,
    reporter: Reporter = SILENT,
) -> Recommendation:
    """Find out which method to use for a task, as ``ltbench recommend`` does.

    Each method is tuned by the same number of trials on validation rows, then trained with several seeds; test labels
    are read after the last trial. What is done already is not done again, so a call that was stopped goes on where it
    was.

    Args:
        task: address of one setting, or a task.
        backbone: encoder of all methods; None takes the task's default.
        methods: names, classes, or files of such; ``suggested``, ``all`` and patterns take what fits.
        budget: ``30m``, ``2h``: trials are cut to it first, then methods, then seeds; None for as long as it takes.
        trials: configurations tried of each method that has something to tune.
        weights: file of the backbone's weights, or ``random``; None takes the released ones.
        image_size: side of the square images in pixels; None takes that of the preset, else the backbone's own.
        dtype: arithmetic of the backbone's towers.
        workers: threads that load pictures ahead of training; None takes the cores that are left. Changes no result.
        out: folder of the runs.
        report: file of the HTML report; None writes ``report.html`` below `out`.

    Returns:
        The answer: ``.best`` and ``.choices``, ``.verdict`` in sentences, ``.run`` to predict with, ``.report``.

    Raises:
        UserError: nothing fits, something is missing and cannot be brought, or no method completed a trial or a run.
    """
    from dataclasses import replace

    from ltbench.backbones.registry import find_backbone
    from ltbench.engine.budget import parse_budget
    from ltbench.engine.recommend import recommend as find_out
    from ltbench.engine.wish import Wish
    from ltbench.method.local import use
    from ltbench.tasks.registry import load_task

    seconds = None if budget is None else parse_budget(budget)
    if backbone is not None:
        find_backbone(backbone)
    wish = Wish(
        task=load_task(task) if isinstance(task, str) else task,
        backbone=backbone,
        methods=tuple(use(method) for method in methods),
        trials=trials,
        seeds=tuple(seeds),
        budget=seconds,
        weights=weights,
        image_size=image_size,
        dtype=dtype,
        device=device,
        threads=threads,
        workers=workers,
        data_root=data_root,
        out=Path(out),
    )
    outcome = find_out(wish, reporter)
    answer = answer_of(outcome)
    place = write_report(outcome, answer, None if report is None else Path(report))
    return replace(answer, report=place, seconds=outcome.seconds)


def answer_of(outcome: Outcome) -> Recommendation:
    """Compare what ran.

    Raises:
        UserError: logits are damaged, or the task's data are others than those of the runs.
    """
    from ltbench.report.recommendation import compared_on_logits, recommendation, row_of

    open_truth = _open_truth(outcome)
    files = _files(outcome)
    rows, trials, folders = [], {}, {}
    for one in outcome.tried:
        if not one.completed:
            continue
        row = row_of([run.record for run in one.completed])
        rows.append(row)
        trials[row.first.record_sha256] = one.trials
        folders[row.first.record_sha256] = next(
            run.folder for run in one.completed if run.record.record_sha256 == row.first.record_sha256
        )
    compared = compared_on_logits(rows, files, open_truth)
    curve = None
    if outcome.learner is not None:
        shares = [outcome.learner.completed, *outcome.curve.values()]
        curve = compared_on_logits([row_of([run.record for run in runs]) for runs in shares], files, open_truth)
    run = folders[compared.rows[0].first.record_sha256]
    lacking = _keep_validation(run, outcome)
    notes = [*_notes(outcome), *([f"It has no thresholds for predict: {lacking}."] if lacking else [])]
    return recommendation(compared, trials, run, curve, outcome.extent.cut, notes, has_thresholds=not lacking)


def _keep_validation(run: Path, outcome: Outcome) -> str:
    """Keep thresholds with the answer, so that it can be used where the task's data are not; why not, where not."""
    from ltbench.engine.calibrate import judged_rows
    from ltbench.plugin.errors import UserError
    from ltbench.records.read import RECORD_NAME

    try:
        judged_rows(run / RECORD_NAME, outcome.wish.data_root, weights=outcome.wish.weights)
    except UserError as error:
        return error.message
    return ""


def write_report(outcome: Outcome, answer: Recommendation, path: Path | None) -> Path:
    """Write the HTML page, and the answer as JSON beside the runs; where the page lies.

    Raises:
        UserError: a file cannot be written, or a picture not be read.
    """
    import json

    from ltbench.plugin.files import write_atomic
    from ltbench.report.recommend_page import differences, render_page

    place = outcome.folder / "report.html" if path is None else path
    place.parent.mkdir(parents=True, exist_ok=True)
    differing = differences(answer, _files(outcome), _open_truth(outcome), _pictures(outcome))
    write_atomic(place, render_page(answer, differing))
    document = json.dumps(answer.document(), indent=1, sort_keys=True, ensure_ascii=False)
    write_atomic(outcome.folder / "answer.json", document + "\n")
    return place


def _files(outcome: Outcome) -> dict[str, Path]:
    """Logits of all runs by the hash that their records state; whoever reads them compares it."""
    runs = [run for one in outcome.tried for run in one.completed]
    runs += [run for some in outcome.curve.values() for run in some]
    return {
        run.record.logits.sha256: run.folder / "logits.safetensors" for run in runs if run.record.logits is not None
    }


def _open_truth(outcome: Outcome) -> OpenTruth:
    """The task that was asked for, whatever folder it lies in."""
    from ltbench.data.base import DataRoot
    from ltbench.records.record import RunRecord
    from ltbench.tasks.registry import open_data_set
    from ltbench.tasks.views import Truth, open_truth

    task, root = outcome.wish.task, outcome.wish.data_root
    found = open_truth(task, open_data_set(task, DataRoot() if root is None else DataRoot(root=root)))

    def opened(record: RunRecord) -> tuple[Task, Truth]:
        return task, found

    return opened


def _pictures(outcome: Outcome) -> LoadPicture | None:
    """What loads a test picture by its id; None where the encoder stands for features alone."""
    from ltbench.backbones.registry import find_backbone
    from ltbench.data.base import DataRoot
    from ltbench.tasks.registry import open_data_set
    from ltbench.tasks.views import open_test

    if "image" not in find_backbone(outcome.backbone.name)[0].spec.offers:
        return None
    task, root = outcome.wish.task, outcome.wish.data_root
    view = open_test(task, open_data_set(task, DataRoot() if root is None else DataRoot(root=root)))
    place = {name: row for row, name in enumerate(view.ids)}

    def load(name: str) -> Image:
        return view.images.load(place[name])

    return load


def _notes(outcome: Outcome) -> Iterator[str]:
    if outcome.held_out:
        yield (
            "The task has no validation images, so a fifth of the training images was held out while tuning; the runs "
            "train on all of them."
        )
    out: dict[str, list[str]] = {}
    for one in outcome.tried:
        if one.why_out:
            out.setdefault(one.why_out, []).append(one.suggestion.method)
    for why, names in out.items():
        yield f"Not run: {', '.join(names)} ({why})."
    lost = [
        f"{one.suggestion.method} seed {run.record.seed} {run.record.status} ({run.record.reason})"
        for one in outcome.tried
        for run in one.runs
        if run.record.status != "completed"
    ]
    if lost:
        yield f"Runs without scores: {', '.join(lost)}."
    if outcome.left_out:
        kinds: dict[str, list[str]] = {}
        for name, why in outcome.left_out.items():
            kinds.setdefault(why, []).append(name)
        fits = "; ".join(
            f"{', '.join(names[:6])}{f' and {len(names) - 6} more' if len(names) > 6 else ''} ({why})"
            for why, names in kinds.items()
        )
        yield f"Do not fit this task and encoder: {fits}."
    if not outcome.wish.task.ranked:
        yield "The task is not ranked; ltbench show task says why."
