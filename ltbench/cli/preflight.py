"""How it looks what runs need, find and are going to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ltbench.cli.output import seconds, size

if TYPE_CHECKING:
    from ltbench.engine.encoded import Encoded
    from ltbench.engine.expected import Expected
    from ltbench.engine.lacks import Lack
    from ltbench.engine.measure import Measured
    from ltbench.engine.preflight import Preflight
    from ltbench.engine.room import Room
    from ltbench.engine.whole import Whole


def preflight_lines(found: Preflight) -> list[str]:
    """Lines for people: what is run, what is to be brought, room for it, what it is going to take."""
    encoded = [found.encoded] if found.encoded is not None else []
    lines = [found.request.headline, *_brought(found.lacks), *_room(found.rooms), *_features(encoded)]
    return [*lines, f"  takes {_takes(found)}"]


def whole_lines(whole: Whole, what: str, jobs: int = 1) -> list[str]:
    """The same of many runs together, each thing once.

    Args:
        what: what people call them.
        jobs: runs at a time.
    """
    lines = [f"{what}: {_counted(whole)}", *_brought(whole.lacks), *_room(whole.rooms), *_features(whole.encoded)]
    lines += [f"  cannot run ({count}): {reason}" for reason, count in whole.refused.items()]
    return [*lines, *([f"  takes {_takes_together(whole, jobs)}"] if whole.open else [])]


def _counted(whole: Whole) -> str:
    runs = len(whole.found) + sum(whole.refused.values())
    there = len(whole.found) - len(whole.open)
    return f"{runs} run{'' if runs == 1 else 's'}{f', of which {there} are recorded' if there else ''}"


def _brought(lacks: Sequence[Lack]) -> list[str]:
    lines = []
    for lack in lacks:
        how = "from the mirror" if lack.mirrored else lack.addresses[0] if lack.addresses else lack.todo
        lines.append(f"  to bring: {lack.name}{f' ({size(lack.bytes)})' if lack.bytes else ''}, {how}")
    return lines


def _room(rooms: Sequence[Room]) -> list[str]:
    return [
        f"  disk: {size(room.needed)} of {size(room.free)} that are free in {room.folder} ({room.what})"
        for room in rooms
        if room.needed
    ]


def _features(encoded: Sequence[Encoded]) -> list[str]:
    total = sum(one.bytes for one in encoded)
    return [f"  encoded features: at most {size(total)} in the cache, less what is there already"] if total else []


def preflight_json(found: Preflight) -> dict[str, Any]:
    """The same for programs."""
    return {
        "why_backbone": found.request.why_backbone or None,
        "missing": _missing_json(found.lacks),
        "disk": _disk_json(found.rooms),
        "encoded_bytes": None if found.encoded is None else found.encoded.bytes,
        "expected": None if found.expected is None else asdict(found.expected),
        "measured": None if found.measured is None else {**asdict(found.measured), "seconds": found.measured.seconds},
    }


def whole_json(whole: Whole) -> dict[str, Any]:
    """Many runs together, for programs."""
    return {
        "runs": len(whole.found) + sum(whole.refused.values()),
        "recorded": len(whole.found) - len(whole.open),
        "cannot_run": whole.refused,
        "missing": _missing_json(whole.lacks),
        "disk": _disk_json(whole.rooms),
        "encoded_bytes": sum(one.bytes for one in whole.encoded),
        "seconds": whole.seconds,
        "runs_of_unknown_time": whole.unknown,
    }


def _missing_json(lacks: Sequence[Lack]) -> list[dict[str, Any]]:
    return [
        {
            "name": lack.name,
            "bytes": lack.bytes or None,
            "addresses": list(lack.addresses),
            "mirror": lack.layout or None,
            "mirrored": lack.mirrored,
            "place": str(lack.place),
            "todo": lack.todo or None,
        }
        for lack in lacks
    ]


def _disk_json(rooms: Sequence[Room]) -> list[dict[str, Any]]:
    return [{"what": room.what, "folder": str(room.folder), "needed": room.needed, "free": room.free} for room in rooms]


def _takes(found: Preflight) -> str:
    if found.recorded:
        return "no time: it is recorded already"
    if found.measured is not None:
        return _as_measured(found.measured)
    if found.expected is None:
        return "nobody knows how long: no run of this method, task and backbone is recorded; --measure times one batch"
    return _as_recorded(found.expected)


def _as_recorded(past: Expected) -> str:
    steps: Sequence[tuple[str, float | None]] = (
        ("encoding", past.encode_seconds),
        ("training", past.train_seconds),
        ("judging", past.evaluate_seconds),
    )
    each = ", ".join(f"{name} {seconds(value)}" for name, value in steps if value is not None)
    memory = f"; {size(past.memory_bytes)} of memory" if past.memory_bytes else ""
    runs = "a run" if past.runs == 1 else f"{past.runs} runs"
    return f"about {seconds(past.seconds)} ({each}{memory}), as {runs} did {past.source}"


def _as_measured(found: Measured) -> str:
    """What was measured and what it was extrapolated to, apart."""
    timed = [f"an image encoded in {_short(found.image_seconds)}"] if found.image_seconds is not None else []
    timed += [
        f"a step of {name} in {_short(found.step_seconds[name])}, of which it has {steps:,}"
        for name, steps in found.steps.items()
    ]
    parts = (("encoding", found.encode_seconds), ("training", found.train_seconds), ("answers", found.answer_seconds))
    each = ", ".join(f"{name} {seconds(value)}" for name, value in parts)
    most = "at most " if found.at_most else "about "
    here = f"measured on this machine ({found.device}) with {found.what}"
    return (
        f"{most}{seconds(found.seconds)}, extrapolated: {each}, judging apart; {here}: {', '.join(timed) or 'answers'}"
    )


def _short(value: float) -> str:
    return seconds(value) if value >= 1 else f"{1000 * value:.3g} ms"


def _takes_together(whole: Whole, jobs: int) -> str:
    if whole.unknown == len(whole.open):
        return "nobody knows how long: no run like these is recorded"
    apart = f", and {whole.unknown} runs that nobody knows a time of" if whole.unknown else ""
    if jobs <= 1:
        return f"about {seconds(whole.seconds)}{apart}"
    return f"about {seconds(whole.seconds / jobs)} with {jobs} runs at a time ({seconds(whole.seconds)} in all){apart}"
