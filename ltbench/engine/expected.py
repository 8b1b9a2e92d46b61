"""What a run is going to take, from what runs like it took. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ltbench.backbones.registry import own_size
from ltbench.engine.request import RunRequest, resolve_preset
from ltbench.engine.settled import defaults_of, options_of
from ltbench.engine.shipped import Cost, as_one, cost_of_record, shipped
from ltbench.engine.sizes import asked_size
from ltbench.plugin.code import made_by
from ltbench.plugin.errors import UserError
from ltbench.records.environment import cpu_model
from ltbench.records.read import RECORD_NAME, load_document


@dataclass(frozen=True)
class Expected:
    """What runs of the same task, method and backbone took.

    Attributes:
        runs: how many there are.
        source: where they are recorded, and on which machine they ran.
        encode_seconds: of the run that had most to encode, since others found features in the cache; None if unknown.
        train_seconds, evaluate_seconds: medians; None if unknown.
        memory_bytes: the largest peak; None if unknown.
    """

    runs: int
    source: str
    encode_seconds: float | None
    train_seconds: float | None
    evaluate_seconds: float | None
    memory_bytes: int | None

    @property
    def seconds(self) -> float:
        """Of all three, as far as known."""
        return sum(each or 0.0 for each in (self.encode_seconds, self.train_seconds, self.evaluate_seconds))


def expected(request: RunRequest) -> Expected | None:
    """What a run is going to take; None where no run like it is recorded.

    Runs of this machine in the folder of runs come first: of the same setting and options, of the same setting, of
    another setting of the task. Then the times that ltbench ships, with their machine named; those are of whole runs
    in float32 on images of the backbone's own size.
    """
    spec = resolve_preset(request)[0].spec
    marked = spec.marked(request.backbone, options_of(request))
    # A head on a frozen tower takes seconds where the tower itself takes minutes: these tell nothing of each other.
    mine = [
        one
        for one in _own(request)
        if _is_alike(one, request) and spec.marked(one["backbone"], one["config"]) == marked
    ]
    if mine:
        costs, which = _nearest(mine, request)
        return _of(costs, f"on this machine, in {request.out}{which}")
    if request.limit is not None or request.share is not None:
        return None
    task, preset = request.task, resolve_preset(request)[2]
    if request.dtype != "float32" or asked_size(request.image_size, preset) not in (None, own_size(request.backbone)):
        return None
    found = shipped(task.name, task.version, task.setting, marked, request.backbone)
    known = [one for one in found if request.device in ("auto", one.kind)]
    if not known:
        return None
    here = [one for one in known if one.device == cpu_model()]
    best = max(here or known, key=lambda one: one.runs)
    return _of([best], f"on {best.device}, in the times that ltbench ships")


def is_recorded(request: RunRequest) -> bool:
    """Whether a run of the same task, configuration, backbone, seed, threads and rows is finished.

    The key of a run holds the fingerprints of data and weights as well, which nobody opens here.
    """
    return request.seed in recorded_seeds(request)


def recorded_seeds(request: RunRequest) -> frozenset[int]:
    """The seeds with which :func:`is_recorded` holds for a request, whatever its own; records are looked at once."""
    if request.overwrite != "never":
        return frozenset()
    drawn = request.weights == "random"
    made, is_like = made_by(resolve_preset(request)[0]), like(request)
    return frozenset(
        one["seed"]
        for one in _own(request)
        if one["setting"] == request.task.setting
        and (one["weights"] == "random") == drawn
        and one["made"] == made[:2]
        and made[2] in (None, one["code"])
        and is_like(one)
        and _is_alike(one, request)
    )


def like(request: RunRequest) -> Callable[[Mapping[str, Any]], bool]:
    """Tells whether a record's images and options are those of a request, which is resolved once for all records."""
    asked, usual = _plain(options_of(request)), _plain(defaults_of(request))
    size, own = asked_size(request.image_size, resolve_preset(request)[2]), own_size(request.backbone)

    def is_like(one: Mapping[str, Any]) -> bool:
        config = one["config"]
        sized = one["image_size"] == size if size is not None else one["image_size"] in (own, config.get("image_size"))
        return sized and _is_asked(config, asked, usual)

    return is_like


def _own(request: RunRequest) -> list[Mapping[str, Any]]:
    """Completed runs of the task, in any setting, and the method in the folder of runs."""
    address = request.task.address
    folders = sorted({request.out / address, *request.out.glob(f"{request.task.name}@*")})
    paths = [path for folder in folders for path in sorted((folder / request.method).glob(f"*/*/{RECORD_NAME}"))]
    found = [_read(path, path.stat().st_mtime_ns) for path in paths]
    return [one for one in found if one is not None and one["version"] == request.task.version]


@lru_cache(maxsize=4096)
def _read(path: Path, changed: int) -> Mapping[str, Any] | None:
    """What of a record is asked here; None of one that is not completed, or damaged."""
    try:
        record = load_document(path)
        if record["status"] != "completed":
            return None
        return {
            "version": record["task"]["version"],
            "setting": record["task"]["setting"],
            "made": (record["method"]["distribution"], record["method"]["version"]),
            "code": record["method"].get("code_sha256"),
            "variant": record["method"]["variant"],
            "config": record["method"]["config"],
            "backbone": record["backbone"]["name"],
            "dtype": record["backbone"]["dtype"],
            "image_size": record["backbone"].get("image_size"),
            "weights": record["backbone"]["weights"],
            "seed": record["seed"],
            "threads": record["threads"],
            "limit": record["limit"],
            "share": record.get("share"),
            "rule": record["selection"]["rule"],
            "machine": record["environment"]["machine"],
            "cost": cost_of_record(record),
        }
    except (UserError, KeyError, TypeError):
        # What is wrong with a record is told by those who read it for its scores.
        return None


def _is_alike(one: Mapping[str, Any], request: RunRequest) -> bool:
    """Whether a run on this machine took what the request would, but for its options and setting."""
    return (
        one["machine"] == cpu_model()
        and one["backbone"] == request.backbone
        and one["threads"] == request.threads
        and (one["limit"], one["share"], one["rule"]) == (request.limit, request.share, request.selection)
        and one["variant"] == resolve_preset(request)[1]
        and one["dtype"] == request.dtype
        and _is_sized(one, request)
        and request.device in ("auto", one["cost"].kind)
    )


def _is_sized(one: Mapping[str, Any], request: RunRequest) -> bool:
    """Whether a run saw images of the size that is asked for; where none is, of what backbone or method take."""
    asked = asked_size(request.image_size, resolve_preset(request)[2])
    if asked is not None:
        return bool(one["image_size"] == asked)
    return one["image_size"] in (own_size(request.backbone), one["config"].get("image_size"))


def _nearest(mine: Sequence[Mapping[str, Any]], request: RunRequest) -> tuple[list[Cost], str]:
    """The costs of the runs most like the request, and what is not like it in words."""
    same = [one for one in mine if one["setting"] == request.task.setting]
    equal = [one["cost"] for one in same if _is_same(one["config"], request)]
    if equal:
        return equal, ""
    if same:
        return [one["cost"] for one in same], ", with other options"
    return [one["cost"] for one in mine], f", on {request.task.name} in another setting"


def _is_same(config: Mapping[str, Any], request: RunRequest) -> bool:
    """Whether a record's configuration is the one asked for; an option that it does not state is at its default."""
    return _is_asked(config, _plain(options_of(request)), _plain(defaults_of(request)))


def _is_asked(config: Mapping[str, Any], asked: Mapping[str, Any], usual: Mapping[str, Any]) -> bool:
    return config.keys() <= asked.keys() and all(
        config.get(name, usual.get(name)) == value for name, value in asked.items()
    )


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(options, default=str))
    return plain


def _of(costs: Sequence[Cost], source: str) -> Expected:
    one = as_one(costs)
    return Expected(one.runs, source, one.encode, one.train, one.evaluate, one.memory)
