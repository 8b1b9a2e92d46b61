"""All runs of a plan before the first begins: what they need together, what they take, and whether they can start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from ltbench.backbones.registry import open_backbone
from ltbench.backbones.released import ALTERNATIVES, bring_weights
from ltbench.data.getting.mirror import VARIABLE, mirror
from ltbench.data.getting.reach import silent
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.encoded import Encoded, check_limit, together
from ltbench.engine.lacks import WEIGHTS, Lack, Look, each_once
from ltbench.engine.preflight import Preflight, preflight
from ltbench.engine.request import RunRequest
from ltbench.engine.room import Room, check_rooms, rooms_of
from ltbench.plugin.errors import UserError
from ltbench.tasks.needs import bring_missing
from ltbench.tasks.registry import PinnedTask


@dataclass(frozen=True)
class Whole:
    """What the runs of a plan need and take together.

    Attributes:
        found: of each run that fits.
        refused: reason → runs that it keeps from fitting, which are refused one by one.
        lacks: all that is not here, each thing once.
        rooms: for all of it.
        encoded: features of all runs, each once.
    """

    found: tuple[Preflight, ...]
    refused: dict[str, int]
    lacks: tuple[Lack, ...]
    rooms: tuple[Room, ...]
    encoded: tuple[Encoded, ...]

    @property
    def open(self) -> list[Preflight]:
        """Runs that are not recorded yet."""
        return [one for one in self.found if not one.recorded]

    @property
    def seconds(self) -> float:
        """What the runs take that are not recorded yet, one after the other, as far as known."""
        return sum(one.seconds or 0.0 for one in self.open)

    @property
    def unknown(self) -> int:
        """How many of them nobody knows a time of."""
        return sum(one.seconds is None for one in self.open)


def look_at(
    requests: Iterable[RunRequest], reporter: Reporter = SILENT, strict: bool = True, validates: bool = False
) -> Whole:
    """Look what runs need; nothing is written, brought or asked for.

    Args:
        strict: a run whose method and task do not fit is an error; else it is counted, and refused when its turn comes.
        validates: what is run is judged on validation rows, as trials of a search are.

    Raises:
        UserError: as :func:`ltbench.engine.preflight.preflight`.
    """
    look, found, refused = Look(validates), [], dict[str, int]()
    for request in requests:
        try:
            found.append(preflight(request, reporter, look))
        except UserError as error:
            if strict:
                raise
            refused[str(error)] = refused.get(str(error), 0) + 1
    return whole_of(found, refused)


def whole_of(found: Sequence[Preflight], refused: dict[str, int] | None = None) -> Whole:
    """What runs need together that were looked at one by one; they share their data root."""
    lacks = each_once(lack for one in found for lack in one.lacks)
    encoded = together(one.encoded for one in found if one.encoded is not None)
    rooms = rooms_of(lacks, encoded, found[0].request.root()) if found else ()
    return Whole(tuple(found), refused or {}, tuple(lacks), rooms, tuple(encoded))


def clear(whole: Whole, offline: bool, what: str = "") -> None:
    """Refuse what cannot be brought here: all that is missing for all runs, in one error.

    Args:
        offline: the network is off limits.
        what: what people call the runs together; empty names the first.

    Raises:
        UserError: something has to be got by hand, there is no network, or too little disk; ``details`` has a line for
            each thing.
    """
    if not whole.found:
        return
    first = whole.found[0].request
    named = what or f"{first.method} on {first.task.address}"
    absent = [lack for lack in whole.lacks if not lack.mirrored]
    reason = _why_not(absent, offline) if absent else ""
    if reason:
        verb = "thing that it needs is" if len(absent) == 1 else "things that it needs are"
        commands = _commands(whole)
        listed = [f"bring: {command}" for command in commands] if len(commands) > 1 else []
        raise UserError(
            f"{named} cannot start: {len(absent)} {verb} not here, and {reason}",
            _what_to_type(commands, absent),
            [*(lack.line for lack in absent), *listed],
        )
    check_limit(whole.encoded, first.root().cache)
    check_rooms(whole.rooms, named)


def bring(whole: Whole, reporter: Reporter) -> None:
    """Bring what the runs of a plan lack before the first of them begins, so that no two of them wait for it.

    Raises:
        UserError: something could not be brought; the others were, and ``details`` says why. A file of weights does not
            fit a backbone; nothing is brought.
    """
    if not whole.lacks:
        return
    problems: list[str] = []

    def tried(make: Callable[[], None], what: str) -> None:
        try:
            make()
        except UserError as error:
            problems.extend([f"{what}: {error}", *(f"  {line}" for line in error.details)])

    for one in {one.request.backbone: one.request for one in whole.found}.values():
        if one.weights is None:
            tried(partial(bring_weights, one.backbone, one.root(reporter)), one.backbone)
        elif one.weights != "random":
            # A file that does not fit is told before gigabytes are brought for it.
            open_backbone(one.backbone, weights=one.weights, offline=True)
    for one in {PinnedTask.of(one.request.task): one.request for one in whole.found}.values():
        tried(partial(bring_missing, one.task, one.root(reporter)), one.task.address)
    if problems:
        raise UserError(
            "what the runs need is not all here", "the same command again, or bring what is listed", problems
        )


def _why_not(absent: Sequence[Lack], offline: bool) -> str:
    """Why what is absent cannot be brought; empty where it can."""
    reason = "the network is off limits (offline)" if offline else _no_network(absent)
    by_hand = [lack for lack in absent if not lack.addresses]
    if not reason and by_hand:
        reason = f"{len(by_hand)} of them have to be got by hand" if len(absent) > 1 else "it has to be got by hand"
    return reason


def _no_network(absent: Sequence[Lack]) -> str:
    """Why some of it cannot be downloaded: none of its hosts answers; empty when each thing has one that does."""
    asked = [each for lack in absent for each in lack.addresses]
    known = mirror()
    if known is not None and known.address:
        asked.insert(0, known.address)
    mute = silent(asked)
    if not mute or (known is not None and known.address and _host(known.address) not in mute):
        return ""
    told = "; ".join(f"{host}: {why}" for host, why in mute.items())
    if len(mute) == len({_host(each) for each in asked}):
        return f"no network answers: {told}"
    beyond = [lack for lack in absent if lack.addresses and all(_host(each) in mute for each in lack.addresses)]
    return f"no host of {', '.join(lack.name for lack in beyond)} answers: {told}" if beyond else ""


def _host(address: str) -> str:
    return address.split("/")[2]


def _commands(whole: Whole) -> list[str]:
    """For each task whose runs lack something, the command that brings all of it elsewhere."""
    wanted: dict[str, dict[str, None]] = {}
    for one in whole.found:
        away = [lack for lack in one.lacks if not lack.mirrored]
        # Settings of a task share their images.
        names = wanted.setdefault(one.request.task.name, {}) if away else {}
        # Of weights in several files each has its name behind the backbone's.
        if any(lack.name.partition(", ")[0] == f"{WEIGHTS}{one.request.backbone}" for lack in away):
            names[one.request.backbone] = None
    single = {one.request.task.name: one.request.task.address for one in whole.found}
    several = {one.request.task.address for one in whole.found}
    return [
        f"ltbench data bundle {task if sum(a.partition('@')[0] == task for a in several) > 1 else single[task]}"
        f"{''.join(f' --backbone {name}' for name in names)} --out DIR"
        for task, names in wanted.items()
    ]


def _what_to_type(commands: Sequence[str], absent: Sequence[Lack]) -> str:
    typed = commands[0] if len(commands) == 1 else "each command above"
    install = "".join(f"{each}; or " for each in dict.fromkeys(lack.install for lack in absent if lack.install))
    hint = f"{install}{typed} where there is a network, then {VARIABLE}=DIR here"
    weights = any(lack.name.startswith(WEIGHTS) for lack in absent)
    return f"{hint}; without weights {ALTERNATIVES}" if weights else hint
