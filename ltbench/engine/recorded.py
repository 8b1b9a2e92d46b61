"""Which runs of a plan are finished, told from their records alone: nothing is opened, and torch is not imported.

A run's key holds the fingerprints of its data and its weights, which only those who open them know. They are told
here where nothing else is possible: the task pins its data, encoder and weights are those of the installed version of
ltbench, and the record was written by that version. Of every other run nothing is said; it is given to a process, which
finds its record by its key.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ltbench.backbones.registry import find_backbone
from ltbench.engine.expected import like
from ltbench.engine.request import RunRequest, resolve_preset
from ltbench.method.extras import OF_VALIDATION, validation_extra
from ltbench.plugin.code import made_by
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import CORE_DISTRIBUTION
from ltbench.plugin.system import graphics_processors
from ltbench.records.read import RECORD_NAME, load_document, load_record
from ltbench.records.record import RunRecord
from ltbench.tasks.task import Task
from ltbench.tasks.views import validation_labels

_Document = Mapping[str, Any]


class Recorded:
    """Records below a folder of runs, each read once.

    Args:
        out: the folder.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._last: tuple[RunRequest, str, Callable[[_Document], bool]] | None = None
        self._known: dict[tuple[str, str], dict[tuple[Any, ...], list[tuple[Path, _Document]]]] = {}

    def of(self, request: RunRequest, device: str | None) -> tuple[RunRecord, Path] | None:
        """The record that makes a run needless, as :meth:`ltbench.records.store.RunStore.finished` has it.

        Args:
            device: type of the device that the run would take; None where nobody can tell.

        Returns:
            The record and its path; None where there is none, where nobody can tell without opening data or weights,
            and where it is damaged, which the run then says.

        Raises:
            UserError: the request does not fit, as :func:`ltbench.engine.request.resolve_preset`.
        """
        if request.overwrite == "always" or device is None or not _is_told(request):
            return None
        variant, is_this = self._asked(request)
        place = (
            variant, request.backbone, request.dtype, request.seed, request.threads, request.limit, request.share,
            request.selection, device,
        )  # fmt: skip
        found = [(path, one) for path, one in self._of(request).get(place, []) if is_this(one)]
        completed = [(path, one) for path, one in found if one["status"] == "completed"]
        standing = completed if completed or request.overwrite == "failed" else found
        if not standing:
            return None
        path = max(standing, key=lambda pair: int(pair[1]["attempt"]))[0]
        try:
            return load_record(path), path
        except UserError:
            return None

    def _asked(self, request: RunRequest) -> tuple[str, Callable[[_Document], bool]]:
        """Variant of a run, and what tells its records; of seeds that come one after the other found out once."""
        alike = replace(request, seed=0)
        if self._last is None or self._last[0] != alike:
            self._last = alike, resolve_preset(request)[1], _is_this(request)
        return self._last[1:]

    def _of(self, request: RunRequest) -> dict[tuple[Any, ...], list[tuple[Path, _Document]]]:
        where = request.task.address, request.method
        if where not in self._known:
            places = self._known[where] = {}
            for path, one in _read(self._out / request.task.address / request.method):
                place = (
                    one["method"]["variant"], one["backbone"]["name"], one["backbone"]["dtype"], one["seed"],
                    one["threads"], one["limit"], one.get("share"), one["selection"]["rule"], one["device"],
                )  # fmt: skip
                places.setdefault(place, []).append((path, one))
        return self._known[where]


def _read(folder: Path) -> Iterator[tuple[Path, _Document]]:
    """Records of a task and a method; of each only what is looked at here."""
    for path in sorted(folder.glob(f"*/*/{RECORD_NAME}")):
        try:
            one = load_document(path)
            yield (
                path,
                {
                    **{name: one[name] for name in ("status", "attempt", "seed", "threads", "limit", "device")},
                    "share": one.get("share"),
                    "extras": frozenset(one["extras"]),
                    "selection": {"rule": one["selection"]["rule"]},
                    "method": one["method"],
                    "backbone": {
                        name: one["backbone"].get(name) for name in ("name", "dtype", "weights", "image_size")
                    },
                    "task": {name: one["task"][name] for name in ("version", "contract", "fingerprints")},
                    "ltbench": one["environment"]["ltbench"],
                    # As the functions that compare options and sizes have it.
                    "config": one["method"]["config"],
                    "image_size": one["backbone"].get("image_size"),
                },
            )
        except (UserError, KeyError, TypeError):
            # What is wrong with a record is told by those who read it for its scores.
            continue


def _is_told(request: RunRequest) -> bool:
    """Whether a record can say that it is this run's, without data or weights being opened."""
    if request.weights not in (None, "random") or request.task.unpinned:
        return False
    registered = find_backbone(request.backbone)[0]
    return registered.distribution == CORE_DISTRIBUTION and registered.spec.name != "precomputed"


def _is_this(request: RunRequest) -> Callable[[_Document], bool]:
    """Tells whether a record is a run's, but for its seed."""
    made, mine = made_by(resolve_preset(request)[0]), version(CORE_DISTRIBUTION)
    is_like, labels = like(request), validation_extra(validation_labels(request.task, request.validation))

    def is_this(one: _Document) -> bool:
        return (
            one["ltbench"] == mine
            and (one["method"]["distribution"], one["method"]["version"]) == made[:2]
            and made[2] in (None, one["method"].get("code_sha256"))
            and (one["backbone"]["weights"] == "random") == (request.weights == "random")
            and is_like(one)
            and one["extras"] & OF_VALIDATION <= labels
            and _is_of(one["task"], request.task)
        )

    return is_this


def _is_of(told: _Document, task: Task) -> bool:
    """Whether a record is of this task as it is defined now, on the data that it pins."""
    pinned = task.fingerprints.model_dump(exclude_none=True)
    found = told["fingerprints"]
    return (told["version"], told["contract"]) == (task.version, task.contract) and all(
        found.get(name) == value for name, value in pinned.items()
    )


def device_of(asked: str, gpus: int | None) -> str | None:
    """Type of the device that a run will take, as far as it can be told without torch.

    Args:
        asked: as typed.
        gpus: that a job is granted elsewhere; None where it runs on this machine.
    """
    if asked != "auto":
        return asked.partition(":")[0]
    if gpus is not None:
        return "cuda" if gpus else "cpu"
    if sys.platform == "darwin":
        return "cpu"
    here = graphics_processors()
    # A torch built for CPUs would not take one, which only torch can say.
    return "cpu" if here == [] else None
