"""How finished runs look: scores with intervals, cost, and where the records lie."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltbench.cli.classes import print_classes
from ltbench.cli.output import Column, fold, print_facts, print_table, seconds, size

if TYPE_CHECKING:
    from ltbench.engine.run import Finished
    from ltbench.records.record import RunRecord
from ltbench.cli.output import say
from ltbench.tasks.overlap import why_unranked

#: Beside the record of a failed run: its traceback.
ERROR_NAME = "error.txt"
SUBSETS = ("total", "head", "medium", "tail", "gzsl", "zsl", "seen", "unseen")


def results_json(finished: Sequence[Finished]) -> list[dict[str, Any]]:
    """Records with their place."""
    return [
        {
            "record": one.record.model_dump(mode="json"),
            "path": str(one.folder / "record.json"),
            "reused": one.reused,
        }
        for one in finished
    ]


def print_results(finished: Sequence[Finished]) -> None:
    """One table for each task setting."""
    for number, (_, group) in enumerate(groupby(finished, key=lambda one: one.record.task.address)):
        if number:
            say()
        _print_group(list(group))
    done = [one.record for one in finished if one.record.status == "completed"]
    if done:
        say(f"Compare: ltbench leaderboard --task {done[0].task.name}")


def _print_group(finished: Sequence[Finished]) -> None:
    records = [one.record for one in finished]
    first = records[0]
    done = [record for record in records if record.status == "completed"]
    if done:
        subsets = _subsets(done[0])
        rows = [_row(record, subsets) for record in done]
        if len(done) > 1:
            rows.append(_mean_row(done, subsets))
        title = f"{first.task.address}, {first.method.name} ({first.method.variant}), {first.backbone.name}"
        columns: list[Column | str] = [
            "seed",
            *(Column(name, right=True) for name in subsets),
            Column("time", right=True),
        ]
        print_table(columns, rows, f"{title}: {first.task.headline} in %")
        _print_facts(done)
    for one in finished:
        if one.record.status != "completed":
            _print_failure(one)
    say("Records:")
    for one in finished:
        say(f"  {one.folder / 'record.json'}{' (was there already)' if one.reused else ''}")


def _print_failure(one: Finished) -> None:
    """How a run ended, where in the author's code, where the traceback is, and what runs it again."""
    from ltbench.engine.again import again
    from ltbench.plugin.blame import place_in

    record = one.record
    at = f" at step {record.step}" if record.step is not None else ""
    say(f"Seed {record.seed} {record.status}{at}: {record.reason}")
    trace = one.folder / ERROR_NAME
    if trace.is_file():
        place = place_in(trace.read_text(encoding="utf-8", errors="replace"), package_of(record.method.name))
        if place is not None:
            say(f"  At {place}.")
        say(f"  Traceback: {trace}")
    say(f"  Run it again: {again(record)}")


def package_of(method: str) -> str:
    """Top-level package of a method's code; empty where nobody here knows the method."""
    from ltbench.plugin.manager import registry

    item = registry().methods.entries.get(method)
    return "" if item is None else item.spec.target.partition(":")[0].partition(".")[0]


def _subsets(record: RunRecord) -> list[str]:
    """Subsets of the headline metric that have a value, in the usual order, five at most."""
    scores = record.scores[record.task.headline]
    return [name for name in SUBSETS if scores.get(name) is not None][:5]


def _row(record: RunRecord, subsets: Sequence[str]) -> list[str]:
    scores = record.scores[record.task.headline]
    intervals = record.intervals.get(record.task.headline, {})
    return [str(record.seed), *(_cell(scores.get(name), intervals.get(name)) for name in subsets), _time(record)]


def _cell(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if interval is None else f"{value:.2f}\n[{interval[0]:.1f}, {interval[1]:.1f}]"


def _mean_row(records: Sequence[RunRecord], subsets: Sequence[str]) -> list[str]:
    """Mean over seeds; with its t interval unless the seed changes nothing."""
    from ltbench.metrics import seed_interval

    cells = ["mean"]
    for name in subsets:
        values = [record.scores[record.task.headline].get(name) for record in records]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            cells.append("-")
            continue
        interval = None if records[0].method.deterministic else seed_interval(known)
        mean = sum(known) / len(known)
        cells.append(f"{mean:.2f}" if interval is None else f"{interval[0]:.2f}\n± {interval[1]:.2f}")
    return [*cells, ""]


def _time(record: RunRecord) -> str:
    parts = (record.cost.encode_seconds, record.cost.train_seconds, record.cost.evaluate_seconds)
    return seconds(sum(part or 0.0 for part in parts))


def _print_facts(records: Sequence[RunRecord]) -> None:
    first = records[0]
    say("[ ]: 95 % bootstrap interval over test images.")
    if len(records) > 1 and not first.method.deterministic:
        say(f"±: 95 % t interval of the mean over {len(records)} seeds.")
    cost = first.cost
    parts = [
        f"{name} {seconds(value)}"
        for name, value in (
            ("encoding", cost.encode_seconds),
            ("training", cost.train_seconds),
            ("judging", cost.evaluate_seconds),
        )
        if value is not None
    ]
    memory = f", {size(cost.peak_memory_bytes)} of memory at most" if cost.peak_memory_bytes else ""
    trained = f"{_count(cost.trainable_parameters)} of {_count(cost.total_parameters)} parameters trained"
    say(fold(f"Cost: {trained}; {', '.join(parts)}{memory}."))
    chosen = first.selection
    if chosen.epoch is not None and chosen.score is not None:
        on = f"{first.task.headline} {chosen.score:.2f} there"
        say(f"Epoch {chosen.epoch} counts, the best on validation rows: {on}.")
    oracle = first.selection.oracle
    if oracle is not None:
        best = oracle.get(first.task.headline, {}).get("total")
        say(f"Oracle (best epoch on test, never ranked): {best:.2f} at epoch {first.selection.oracle_epoch}.")
    for reason in _why_unranked(first):
        say(fold(f"Never ranked: {reason}."))


def _why_unranked(record: RunRecord) -> list[str]:
    reasons = []
    if record.limit is not None:
        reasons.append(f"only {record.limit} rows were used (--limit)")
    if record.share is not None:
        reasons.append(f"only a share of {record.share:g} of the training rows was used (--share)")
    if not record.backbone.ranked:
        reasons.append(f"the backbone has weights '{record.backbone.weights}'")
    if not record.task.ranked:
        reasons.append("the task is made for tests")
    if record.task.unpinned:
        reasons.append(f"the task is not pinned ({', '.join(sorted(record.task.unpinned))})")
    return [*reasons, *why_unranked(record.task.name, record.method.origin, record.backbone.pretraining)]


def _count(number: int) -> str:
    for unit, factor in (("M", 1e6), ("k", 1e3)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return str(number)


def print_record(record: RunRecord, path: Path) -> None:
    """One record in full: what ran, all scores, what it took."""
    from ltbench.backbones.registry import own_size

    method, backbone, cost = record.method, record.backbone, record.cost
    facts = {
        "task": f"{record.task.address} (version {record.task.version})",
        "method": f"{method.name} ({method.variant}), {method.distribution} {method.version}",
        "options": f"{method.preset or 'no preset'}, {_origin(record)}",
        "backbone": f"{backbone.name}, weights {backbone.weights}, saw {backbone.pretraining}",
        "seed": f"{record.seed}, {record.threads} CPU threads, on {cost.device}",
        "status": record.status if record.reason is None else f"{record.status}: {record.reason}",
        "created": f"{record.created}, attempt {record.attempt}, key {record.key[:16]}",
    }
    if backbone.image_size is not None and backbone.image_size != own_size(backbone.name):
        facts["images"] = f"{backbone.image_size} x {backbone.image_size}, the backbone's own are {_own(backbone.name)}"
    reasons = _why_unranked(record)
    if reasons:
        facts["never ranked"] = "; ".join(reasons)
    print_facts(facts)
    if record.scores:
        subsets = [name for name in SUBSETS if any(name in scores for scores in record.scores.values())]
        rows = [
            [
                metric,
                *(_cell(scores.get(name), record.intervals.get(metric, {}).get(name)) for name in subsets[:5]),
            ]
            for metric, scores in record.scores.items()
        ]
        say()
        print_table(["in %", *(Column(name, right=True) for name in subsets[:5])], rows)
        _print_facts([record])
    print_classes(record)
    say(fold(f"Options: {' '.join(f'{name}={value}' for name, value in method.config.items()) or 'none'}"))
    say(f"Check it: ltbench verify {path}")


def _own(backbone: str) -> str:
    from ltbench.backbones.registry import own_size

    own = own_size(backbone)
    return "of a size that nobody here can tell" if own is None else f"{own} x {own}"


def _origin(record: RunRecord) -> str:
    return "default (not tuned)" if record.method.origin == "default" else record.method.origin
