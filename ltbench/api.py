"""What ``import ltbench`` offers; each function imports what it needs."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ltbench.data.progress import SILENT, Reporter
from ltbench.plugin.manager import registry
from ltbench.recommending import recommend as recommend

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

    from ltbench.backbones.options import EncodeDtype
    from ltbench.engine.run import Finished
    from ltbench.engine.sweep import CellResult
    from ltbench.method.method import Method
    from ltbench.records.verify import VerifyReport
    from ltbench.report.head_to_head import HeadToHead
    from ltbench.tasks.task import Task


def tasks() -> list[str]:
    """Names of all tasks, a user's own included, sorted."""
    from ltbench.tasks.own.custom import custom_tasks

    return sorted([*registry().tasks.names(), *(task.name for task in custom_tasks())])


def methods() -> list[str]:
    """Names of all methods, sorted."""
    return registry().methods.names()


def backbones() -> list[str]:
    """Names of all backbones, sorted; one that ends in a colon takes an argument (``timm:resnet18``)."""
    return sorted(f"{item.spec.name}:" if item.spec.prefix else item.spec.name for item in registry().backbones)


def load_task(address: str) -> Task:
    """The task of an address (``shapes-lt``, ``shapes-plt@mr40``) or of a task folder.

    Raises:
        UnknownName: no such task or setting.
        UserError: the address stands for several settings.
    """
    from ltbench.tasks.registry import load_task as load

    return load(address)


def run(
    task: str | Task,
    method: str | type[Method],
    backbone: str | None = None,
    *,
    seed: int | Iterable[int] = 0,
    weights: str | None = None,
    image_size: int | None = None,
    dtype: EncodeDtype = "float32",
    preset: str | None = None,
    options: Mapping[str, Any] | None = None,
    variant: Literal["paper", "code"] | None = None,
    device: str = "auto",
    threads: int = 1,
    workers: int | None = None,
    accumulation: int = 1,
    data_root: Path | None = None,
    out: str | Path = "ltbench-runs",
    limit: int | None = None,
    share: float | None = None,
    selection: Literal["last", "validation"] = "last",
    overwrite: Literal["never", "failed", "always"] = "never",
    audit_selection: bool = False,
    validation: Literal["observed", "clean"] = "observed",
    reporter: Reporter = SILENT,
) -> list[Finished]:
    """Run one method on one task, as ``ltbench run`` does: one run for each setting and seed.

    In a script that torchrun started, the processes work on each run together, and each gets the record.

    Args:
        task: address or task.
        method: name, class, or the file of one (``my.py``, ``my.py:Adapter``).
        backbone: name; None takes that of the preset made for the task and method, else the task's default.
        seed: one or several.
        image_size: side of the square images in pixels; None takes that of the preset, else the backbone's own.
        dtype: arithmetic of the backbone's towers; rows of different ones rank apart.
        options: configuration fields of the method.
        share: train on this share of the training rows; never ranked.
        selection: the epoch that counts: the last, or the best on validation rows, which the row says.
        workers: threads that load pictures ahead of training; None takes the cores that are left. Changes no result.
        accumulation: passes that a training batch is cut into, where it does not fit into memory.
        validation: labels of validation rows, for methods that ask for such and to choose an epoch; ``clean`` ones make
            the row say so.

    Returns:
        A record, its folder, and whether it was there already, for each run.

    Raises:
        UserError: what was asked for cannot be run.
    """
    from ltbench.data.base import default_offline
    from ltbench.engine.choose import choose_backbone
    from ltbench.engine.request import RunRequest
    from ltbench.engine.whole import clear, look_at
    from ltbench.method.local import use
    from ltbench.tasks.registry import resolve

    method = use(method)
    found = resolve(task) if isinstance(task, str) else [task]
    seeds = (seed,) if isinstance(seed, int) else tuple(seed)
    overrides = dict(options or {})
    requests = []
    for each in found:
        chosen = choose_backbone(each, method, backbone, preset=preset, variant=variant, overrides=overrides)
        for number in seeds:
            request = RunRequest(
                task=each,
                method=method,
                backbone=chosen.name,
                why_backbone=chosen.why,
                weights=weights,
                image_size=image_size,
                dtype=dtype,
                seed=number,
                preset=preset,
                overrides=overrides,
                variant=variant,
                device=device,
                threads=threads,
                workers=workers,
                accumulation=accumulation,
                data_root=data_root,
                out=Path(out),
                limit=limit,
                share=share,
                selection=selection,
                overwrite=overwrite,
                audit_selection=audit_selection,
                validation=validation,
            )
            requests.append(request)
    clear(look_at(requests), default_offline())
    from ltbench.engine.ranks import joined
    from ltbench.engine.run import run_one

    finished = []
    with joined(device) as ranks:
        for request in requests:
            reporter.line(request.headline)
            finished.append(run_one(request, reporter, ranks))
    return finished


def leaderboard(records: str | Path | Sequence[str | Path], task: str, version: int | None = None) -> pd.DataFrame:
    """The leaderboard of a task as a frame, one row for each method, metric and subset.

    Rows are compared on the logits that lie beside the records; where that cannot be done a warning says why.

    Args:
        records: folders with runs or records, at any depth; a folder of leaderboards inside another stands apart.
        task: name without setting.
        version: of the task; None takes the newest that has records.

    Raises:
        UserError: there are no records of the task.
    """
    from ltbench.data.base import DataRoot
    from ltbench.plugin.errors import UserError
    from ltbench.records.read import all_records
    from ltbench.records.verify import open_registered
    from ltbench.report.at_hand import boards_at_hand, together
    from ltbench.report.frames import frame

    folders = [Path(records)] if isinstance(records, str | Path) else [Path(folder) for folder in records]
    entries = together(all_records(folders).records).records
    versions = [entry.record.task.version for entry in entries if entry.record.task.name == task]
    if not versions:
        raise UserError(f"there are no records of {task}", f"ltbench run --task {task} --method …")
    wanted = (task, max(versions) if version is None else version)
    (board,) = boards_at_hand(entries, [wanted], open_registered(DataRoot()), warnings.warn)
    return frame(board)


def sweep(
    tasks: Sequence[str],
    methods: Sequence[str | type[Method]],
    seeds: Sequence[int] = (0, 1, 2),
    *,
    out: str | Path = "ltbench-runs",
    jobs: int = 0,
    overwrite: Literal["never", "failed", "always"] = "never",
    device: str = "auto",
    data_root: Path | None = None,
    reporter: Reporter = SILENT,
    **plan: Any,
) -> list[CellResult]:
    """Run tasks x methods x seeds in processes that share the cache, as ``ltbench sweep`` does.

    A script that calls it does so below ``if __name__ == "__main__":``, because its processes read it again.

    Args:
        tasks: addresses.
        methods: names, classes, or files of such; ``suggested``, ``all`` and patterns take what fits each task.
        jobs: runs at a time; 0 takes as many as there are cores.
        plan: other fields of :class:`ltbench.engine.sweep_plan.SweepPlan`: ``backbone``, ``weights``, ``threads``,
            ``limit``, ``selection`` …

    Returns:
        How each run ended, with its score and its record; one that fails or is refused never stops the others.

    Raises:
        UserError: an unknown name; a field that does not fit; a class that was typed into this session, which other
            processes cannot see; something is not here and cannot be brought.
    """
    from ltbench.data.base import default_offline
    from ltbench.engine.how import SweepOptions
    from ltbench.engine.select import items_of
    from ltbench.engine.sweep import expand
    from ltbench.engine.sweep import request_of as _request_of
    from ltbench.engine.sweep import sweep as run_sweep
    from ltbench.engine.sweep_plan import SweepPlan
    from ltbench.engine.whole import bring, clear, look_at
    from ltbench.method.local import in_session, use
    from ltbench.plugin.errors import UserError

    names = [use(method) for method in methods]
    for name in names:
        if in_session(name):
            raise UserError(f"{name} was typed into this session, and a sweep's processes do not see it", "ltbench.run")
    items = [item.model_dump() for item in items_of(names, tasks, plan.get("backbone"))]
    made = SweepPlan.of_document(
        {"tasks": tuple(tasks), "methods": items, "seeds": tuple(seeds), **plan}, "of the call"
    )
    options = SweepOptions(out=Path(out), overwrite=overwrite, device=device, data_root=data_root, jobs=jobs)
    requests = []
    for cell in expand(made):
        try:
            requests.append(_request_of(cell, made, options))
        except UserError:
            # A run that is refused is told as its result.
            continue
    whole = look_at(requests)
    clear(whole, default_offline(), "the sweep")
    bring(whole, reporter)
    return run_sweep(made, options, reporter)


def compare(
    first: str,
    second: str,
    records: str | Path | Sequence[str | Path] = "ltbench-runs",
    *,
    task: str | None = None,
    top: int = 10,
    data_root: Path | None = None,
) -> HeadToHead:
    """Two rows against each other, as ``ltbench compare`` does: A minus B overall, by group and by class.

    Args:
        first, second: methods with runs on ``task`` (as a leaderboard calls them), records, folders with the records of
            one row, or first digits of a run's key.
        records: folders with runs.
        top: test rows to name, most different first.

    Raises:
        UserError: nothing fits, or several rows do; the two are of different tasks; logits are not at hand.
    """
    from ltbench.data.base import DataRoot
    from ltbench.records.read import all_records
    from ltbench.records.verify import open_registered
    from ltbench.report.at_hand import together
    from ltbench.report.find_row import find_row
    from ltbench.report.head_to_head import head_to_head
    from ltbench.report.pairs import logits_beside

    folders = [Path(records)] if isinstance(records, str | Path) else [Path(folder) for folder in records]
    standing = together(all_records(folders).records).records
    where = ", ".join(str(folder) for folder in folders)
    a, b = (find_row(name, standing, task, where) for name in (first, second))
    root = DataRoot() if data_root is None else DataRoot(root=data_root)
    files = logits_beside([*a.entries, *b.entries])
    return head_to_head((a.row, b.row), (a.label, b.label), files, open_registered(root), top)


def predict(
    run: str | Path | Finished,
    images: Sequence[str | Path | Image],
    class_names: Sequence[str] | None = None,
    *,
    method: str | type[Method] | None = None,
    weights: str | None = None,
    device: str = "auto",
    threads: int | None = None,
    batch: int = 32,
) -> pd.DataFrame:
    """Apply a trained method to new pictures, as ``ltbench predict`` does.

    Args:
        run: what :func:`run` gave, a record, or the folder of an attempt.
        images: files, folders with images at any depth, or pictures of Pillow's, read as their files would be but
            for large JPEGs, which are decoded at a part of their size; or a
            file of features (``.npz``), alone.
        class_names: answer for these instead; methods with an open class set only.
        method: class or file of a local method, in a session that has not run it.
        weights: file of the backbone's weights, where the run's came from a file.
        batch: pictures that are decoded and encoded at a time.

    Returns:
        One row a picture, one column a class: probabilities, or logits of a method whose scores are none
        (``frame.attrs["calibrated"]``).

    Raises:
        UserError: the run cannot be built again, or a picture cannot be read.
    """
    import numpy as np
    import pandas as pd

    from ltbench.data.decode import shown
    from ltbench.data.feature_file import read_features
    from ltbench.data.own.pictures import features_among, find_pictures
    from ltbench.engine.predict import open_run
    from ltbench.method.local import use
    from ltbench.plugin.errors import UserError
    from ltbench.records.read import RECORD_NAME

    if method is not None:
        use(method)
    place = Path(run) if isinstance(run, str | Path) else run.folder
    features = features_among([Path(image) for image in images if isinstance(image, str | Path)])
    if features is not None and len(images) > 1:
        raise UserError(f"{features} is a file of features, which is predicted on alone", "leave the others out")
    names: list[str] = []
    load: list[Any] = []
    for image in images if features is None else ():
        if not isinstance(image, str | Path):
            names.append(f"picture {len(names) + 1}")
            load.append(lambda _, image=image: shown(image))
            continue
        found = find_pictures([Path(image)])
        if found.problems:
            raise found.problems[0]
        names += [str(picture.place) for picture in found.pictures]
        load += [picture.load for picture in found.pictures]
    predictor = open_run(
        place / RECORD_NAME if place.is_dir() else place,
        class_names=None if class_names is None else tuple(class_names),
        weights=weights,
        device=device,
        threads=threads,
        features=features,
    )
    for warning in predictor.warnings:
        warnings.warn(warning, stacklevel=2)
    parts = [np.zeros((0, len(predictor.class_names)), np.float32)]
    with predictor:
        if features is not None:
            names, rows = read_features(features)
            parts.append(predictor.logits_of_features(rows))
        for start in range(0, len(load), batch):
            parts.append(predictor.logits([one(predictor.least_side) for one in load[start : start + batch]]))
    scores: Any = np.concatenate(parts)
    if predictor.calibrated:
        scores = 1 / (1 + np.exp(-scores.astype(np.float64)))
    frame = pd.DataFrame(scores, index=names, columns=list(predictor.class_names))
    frame.attrs["calibrated"] = predictor.calibrated
    return frame


def verify(records: str | Path | Sequence[str | Path], data_root: Path | None = None) -> list[VerifyReport]:
    """Score recorded runs again and compare, as ``ltbench verify`` does.

    Args:
        records: records, or folders with records at any depth.

    Returns:
        A verdict for each (``right``, ``WRONG``, ``unscored`` …), with what differs.

    Raises:
        UserError: there is no record in a folder.
    """
    from ltbench.engine.checking import Places, check_all
    from ltbench.plugin.errors import UserError
    from ltbench.records.read import RECORD_NAME, RECORDS_FOLDER

    paths: list[Path] = []
    for given in [records] if isinstance(records, str | Path) else records:
        place = Path(given)
        inside = sorted(place.rglob("*.json")) if place.is_dir() else [place]
        kept = [
            path for path in inside if path == place or path.name == RECORD_NAME or path.parent.name == RECORDS_FOLDER
        ]
        if not kept:
            raise UserError(f"there is no record in {place}", "ltbench list runs")
        paths += kept
    return check_all(paths, Places((), data_root), jobs=1)
