"""What a run needs, finds and is going to take, before torch is imported and anything is brought or written."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ltbench.backbones.registry import check_size, find_backbone
from ltbench.backbones.released import ALTERNATIVES, released_of
from ltbench.data.base import DataRoot
from ltbench.data.getting.disk import SPARE, in_words
from ltbench.data.getting.fetch import address
from ltbench.data.getting.mirror import VARIABLE, mirror
from ltbench.data.getting.notes import cached
from ltbench.data.getting.plan import Item, Plan
from ltbench.data.getting.reach import silent
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.expected import Expected, expected
from ltbench.engine.needs import check_fit
from ltbench.engine.request import RunRequest, resolve_preset
from ltbench.engine.sizes import asked_size
from ltbench.method.facts import facts_of
from ltbench.plugin.errors import UserError
from ltbench.tasks.needs import plan_of_run


@dataclass(frozen=True)
class Lack:
    """One thing that is not here.

    Attributes:
        name: what people call it.
        bytes: about how large it is; 0 where nobody says.
        addresses: where it can be downloaded, any of them; empty where a person has to get it.
        place: where it would lie.
        layout: its path in a mirror; empty where a person has to get it.
        mirrored: the mirror folder has it.
        todo: what a person has to do.
        archive: it is unpacked below the data root; other files stay in the cache.
    """

    name: str
    bytes: int
    addresses: tuple[str, ...]
    place: Path
    layout: str = ""
    mirrored: bool = False
    todo: str = ""
    archive: bool = False

    @property
    def line(self) -> str:
        """Name, size, and where to get it or what to do, one line."""
        size = f" ({in_words(self.bytes)})" if self.bytes else ""
        if not self.addresses:
            return f"{self.name}{size}: {self.todo or self.place}"
        return f"{self.name}{size}: {' or '.join(self.addresses)}; in a mirror: {self.layout}"


@dataclass(frozen=True)
class Room:
    """Room on the disk of one folder.

    Attributes:
        what: ``data`` or ``cache``.
        needed: bytes that what is missing is going to take there.
        free: bytes that are free.
    """

    what: str
    folder: Path
    needed: int
    free: int


@dataclass(frozen=True)
class Preflight:
    """What a run needs, finds and is going to take.

    Attributes:
        lacks: what is not here.
        rooms: of the data folder and the cache.
        expected: what runs like it took; None where none is recorded.
    """

    request: RunRequest
    lacks: tuple[Lack, ...]
    rooms: tuple[Room, ...]
    expected: Expected | None

    @property
    def bytes(self) -> int:
        """Size of all that is to be brought, as far as known."""
        return sum(lack.bytes for lack in self.lacks if lack.addresses)


def preflight(request: RunRequest, reporter: Reporter = SILENT) -> Preflight:
    """Look what a run needs; nothing is written, brought or asked for.

    Raises:
        UserError: the method and the task do not fit together.
    """
    _fit(request)
    root = request.root(reporter)
    lacks = (*_weights(request, root), *(_lack(item) for item in _plan(request, root).items if item.state != "here"))
    return Preflight(
        request,
        lacks,
        _rooms(lacks, root),
        expected(
            request.task,
            request.method,
            request.backbone,
            request.out,
            request.device,
            asked_size(request.image_size, resolve_preset(request)[2]),
        ),
    )


def clear(found: Sequence[Preflight], offline: bool) -> None:
    """Refuse what cannot be brought here: all that is missing for all runs, in one error.

    Args:
        offline: the network is off limits.

    Raises:
        UserError: something has to be got by hand, there is no network, or too little disk; ``details`` has a line for
            each thing.
    """
    lacks = list({lack.name: lack for one in found for lack in one.lacks}.values())
    absent = [lack for lack in lacks if not lack.mirrored]
    if not absent:
        _check_room(found)
        return
    reason = "the network is off limits (offline)" if offline else _no_network(absent)
    by_hand = [lack for lack in absent if not lack.addresses]
    if not reason and by_hand:
        reason = f"{len(by_hand)} of them have to be got by hand" if len(absent) > 1 else "it has to be got by hand"
    if reason:
        first = found[0].request
        verb = "thing that it needs is" if len(absent) == 1 else "things that it needs are"
        raise UserError(
            f"{first.method} on {first.task.address} cannot start: {len(absent)} {verb} not here, and {reason}",
            _what_to_type(first, absent),
            [lack.line for lack in absent],
        )
    _check_room(found)


def _fit(request: RunRequest) -> None:
    """Refuse what cannot work, as far as it can be told without the method's code: of its base configuration."""
    registered, _, preset = resolve_preset(request)
    check_size(request.backbone, asked_size(request.image_size, preset))
    if request.overrides or (preset is not None and preset.overrides):
        return
    needs, offers = facts_of(registered.spec).needs, find_backbone(request.backbone)[0].spec.offers
    check_fit(request.method, needs, request.task, True, request.backbone, offers)


def _plan(request: RunRequest, root: DataRoot) -> Plan:
    """What the task needs; what is read on the way is left nowhere."""
    with tempfile.TemporaryDirectory() as folder:
        opened = plan_of_run(request.task, _Aside(Path(folder), root.root, root.reporter, root.offline, root.places))
    # Files lie in the true cache.
    items = tuple(_moved(item, root) for item in opened.items)
    return replace(opened, items=items)


@dataclass(frozen=True)
class _Aside(DataRoot):
    """A data root that writes into another cache, and looks where the true one looks."""

    looked: tuple[Path, ...] = ()

    @property
    def home(self) -> Path:
        return self.looked[0]

    @property
    def places(self) -> tuple[Path, ...]:
        return self.looked


def _moved(item: Item, root: DataRoot) -> Item:
    if item.source is None or item.piece is not None:
        return item
    place = cached(item.source, root)
    return replace(item, place=place, state="here" if place.is_file() else "missing")


def _lack(item: Item) -> Lack:
    if item.source is None:
        return Lack(item.name, 0, (), item.place, todo=item.todo)
    archive = item.piece is not None
    where = (address(item.source),)
    return Lack(item.name, item.bytes, where, item.place, item.source.layout, item.mirrored, archive=archive)


def _weights(request: RunRequest, root: DataRoot) -> list[Lack]:
    file = released_of(request.backbone) if request.weights is None else None
    if file is None or file.here(root) is not None:
        return []
    near = file.mirrored()
    place = near or file.places[0]
    where = tuple(address(each) for each in file.places)
    name = f"weights of {request.backbone}"
    return [Lack(name, file.bytes, where, cached(place, root), place.layout, near is not None)]


def _rooms(lacks: Sequence[Lack], root: DataRoot) -> tuple[Room, ...]:
    unpacked = sum(lack.bytes for lack in lacks if lack.archive)
    # One archive at a time lies in the cache, unless a mirror folder serves it.
    largest = max((lack.bytes for lack in lacks if lack.archive and not lack.mirrored), default=0)
    kept = sum(lack.bytes for lack in lacks if not lack.archive and lack.addresses)
    wanted = (("data", root.home, unpacked), ("cache", root.cache, kept + largest))
    return tuple(
        Room(what, folder, needed, shutil.disk_usage(_standing(folder)).free) for what, folder, needed in wanted
    )


def _check_room(found: Sequence[Preflight]) -> None:
    for one in found:
        needed: dict[int, int] = {}
        for room in one.rooms:
            disk = _standing(room.folder).stat().st_dev
            needed[disk] = needed.get(disk, 0) + room.needed
            if room.needed and room.free < needed[disk] + SPARE:
                raise UserError(
                    f"{one.request.method} on {one.request.task.address} needs {in_words(needed[disk])} on the disk of "
                    f"{room.folder}, where {in_words(room.free)} are free; nothing was downloaded",
                    "free some space, or name another disk: LTBENCH_CACHE=DIR, --data-root DIR",
                )


def _standing(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def _no_network(absent: Sequence[Lack]) -> str:
    """Why nothing can be downloaded; empty when some host answers."""
    asked = [each for lack in absent for each in lack.addresses]
    known = mirror()
    if known is not None and known.address:
        asked.insert(0, known.address)
    mute = silent(asked)
    hosts = len({each.split("/")[2] for each in asked})
    if not mute or len(mute) < hosts:
        return ""
    return f"no network answers: {'; '.join(f'{host}: {why}' for host, why in mute.items())}"


def _what_to_type(request: RunRequest, absent: Sequence[Lack]) -> str:
    backbone = f" --backbone {request.backbone}" if any(lack.name.startswith("weights of ") for lack in absent) else ""
    bundle = f"ltbench data bundle {request.task.address}{backbone} --out DIR"
    hint = f"{bundle} where there is a network, then {VARIABLE}=DIR here"
    return f"{hint}; without weights {ALTERNATIVES}" if backbone else hint
