"""How it looks what a run needs, finds and is going to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ltbench.cli.output import seconds, size

if TYPE_CHECKING:
    from ltbench.engine.preflight import Preflight


def preflight_lines(found: Preflight) -> list[str]:
    """Lines for people: what is run, what is to be brought, room for it, what it is going to take."""
    lines = [found.request.headline]
    for lack in found.lacks:
        how = "from the mirror" if lack.mirrored else lack.addresses[0] if lack.addresses else lack.todo
        lines.append(f"  to bring: {lack.name}{f' ({size(lack.bytes)})' if lack.bytes else ''}, {how}")
    lines += [
        f"  disk: {size(room.needed)} of {size(room.free)} that are free in {room.folder} ({room.what})"
        for room in found.rooms
        if room.needed
    ]
    return [*lines, f"  takes {_takes(found)}"]


def preflight_json(found: Preflight) -> dict[str, Any]:
    """The same for programs."""
    return {
        "why_backbone": found.request.why_backbone or None,
        "missing": [
            {
                "name": lack.name,
                "bytes": lack.bytes or None,
                "addresses": list(lack.addresses),
                "mirror": lack.layout or None,
                "mirrored": lack.mirrored,
                "place": str(lack.place),
                "todo": lack.todo or None,
            }
            for lack in found.lacks
        ],
        "disk": [
            {"what": room.what, "folder": str(room.folder), "needed": room.needed, "free": room.free}
            for room in found.rooms
        ],
        "expected": None if found.expected is None else asdict(found.expected),
    }


def _takes(found: Preflight) -> str:
    past = found.expected
    if past is None:
        return "nobody knows how long: no run of this method, task and backbone is recorded"
    steps: Sequence[tuple[str, float | None]] = (
        ("encoding", past.encode_seconds),
        ("training", past.train_seconds),
        ("judging", past.evaluate_seconds),
    )
    each = ", ".join(f"{name} {seconds(value)}" for name, value in steps if value is not None)
    memory = f"; {size(past.memory_bytes)} of memory" if past.memory_bytes else ""
    runs = "a run" if past.runs == 1 else f"{past.runs} runs"
    return f"about {seconds(past.seconds)} ({each}{memory}), as {runs} did {past.source}"
