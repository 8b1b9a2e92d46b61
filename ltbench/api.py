"""What ``import ltbench`` offers; each function imports what it needs."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ltbench.data.progress import SILENT, Reporter
from ltbench.plugin.manager import registry

if TYPE_CHECKING:
    import pandas as pd

    from ltbench.engine.run import Finished
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
    method: str,
    backbone: str | None = None,
    *,
    seed: int | Iterable[int] = 0,
    weights: str | None = None,
    image_size: int | None = None,
    preset: str | None = None,
    options: Mapping[str, Any] | None = None,
    variant: Literal["paper", "code"] | None = None,
    device: str = "auto",
    threads: int = 1,
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

    Args:
        task: address or task.
        method: name.
        backbone: name; None takes that of the preset made for the task and method, else the task's default.
        seed: one or several.
        image_size: side of the square images in pixels; None takes that of the preset, else the backbone's own.
        options: configuration fields of the method.
        share: train on this share of the training rows; never ranked.
        selection: the epoch that counts: the last, or the best on validation rows, which the row says.
        validation: labels of validation rows, for methods that ask for such and to choose an epoch; ``clean`` ones make
            the row say so.

    Returns:
        A record, its folder, and whether it was there already, for each run.

    Raises:
        UserError: what was asked for cannot be run.
    """
    from ltbench.data.base import default_offline
    from ltbench.engine.choose import choose_backbone
    from ltbench.engine.preflight import clear, preflight
    from ltbench.engine.request import RunRequest
    from ltbench.tasks.registry import resolve

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
                seed=number,
                preset=preset,
                overrides=overrides,
                variant=variant,
                device=device,
                threads=threads,
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
    clear([preflight(request) for request in requests], default_offline())
    from ltbench.engine.run import run_one

    finished = []
    for request in requests:
        reporter.line(request.headline)
        finished.append(run_one(request, reporter))
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
