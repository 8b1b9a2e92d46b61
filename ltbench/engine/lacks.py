"""What runs need and is not here, told without bringing, writing or asking for anything. Imports no torch."""

from __future__ import annotations

import tempfile
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ltbench.backbones.released import released_files
from ltbench.data.base import DataRoot
from ltbench.data.formats.layouts import mistaken
from ltbench.data.getting.disk import in_words
from ltbench.data.getting.fetch import address
from ltbench.data.getting.notes import cached
from ltbench.data.getting.plan import Item, Plan
from ltbench.engine.request import RunRequest
from ltbench.engine.settled import read_by
from ltbench.tasks.needs import plan_of_run
from ltbench.tasks.registry import PinnedTask
from ltbench.tasks.task import Task

WEIGHTS = "weights of "
"""How the name of a lack begins that is a file of weights."""


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
        install: the command that installs it as a package; empty where no package has it.
        beside: what is here and is taken for it; empty where nothing is.
    """

    name: str
    bytes: int
    addresses: tuple[str, ...]
    place: Path
    layout: str = ""
    mirrored: bool = False
    todo: str = ""
    archive: bool = False
    install: str = ""
    beside: str = ""

    @property
    def line(self) -> str:
        """Name, size, and where to get it or what to do, one line."""
        size = f" ({in_words(self.bytes)})" if self.bytes else ""
        if not self.addresses:
            return f"{self.name}{size}: {self.todo or self.place}"
        other = f"; {self.beside} is here, which is another data set" if self.beside else ""
        return f"{self.name}{size}{other}: {' or '.join(self.addresses)}; in a mirror: {self.layout}"


class Look:
    """Looks for data and weights, at what a task setting needs and at each backbone once.

    Args:
        validates: what is run is judged on validation rows.
    """

    def __init__(self, validates: bool = False) -> None:
        self._validates = validates
        self._data: dict[tuple[Hashable, ...], tuple[Lack, ...]] = {}
        self._weights: dict[str, tuple[Lack, ...]] = {}

    def lacks(self, request: RunRequest, root: DataRoot) -> tuple[Lack, ...]:
        """What a run lacks.

        Raises:
            UserError: ``LTBENCH_MIRROR`` is no mirror, or the method cannot be loaded.
        """
        task = read_by(request, validates=self._validates)
        place = (PinnedTask.of(task), task.sources, root.root)
        if place not in self._data:
            items = _plan(task, root).items
            self._data[place] = tuple(_lack(item, root) for item in items if item.state != "here")
        if request.weights is not None:
            return self._data[place]
        if request.backbone not in self._weights:
            self._weights[request.backbone] = _lacking_weights(request.backbone, root)
        return (*self._weights[request.backbone], *self._data[place])


def each_once(lacks: Iterable[Lack]) -> list[Lack]:
    """What several runs lack, each thing once, in their order."""
    return list({lack.name: lack for lack in lacks}.values())


def _plan(task: Task, root: DataRoot) -> Plan:
    """What the task needs; what is read on the way is left nowhere."""
    with tempfile.TemporaryDirectory() as folder:
        opened = plan_of_run(task, aside(root, Path(folder)))
    # Files lie in the true cache.
    items = tuple(_moved(item, root) for item in opened.items)
    return replace(opened, items=items)


def aside(root: DataRoot, folder: Path) -> DataRoot:
    """A data root that looks where another looks, and writes into a folder of its own."""
    return _Aside(folder, root.root, root.reporter, root.offline, root.mends, root.places)


@dataclass(frozen=True)
class _Aside(DataRoot):
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


def _lack(item: Item, root: DataRoot) -> Lack:
    if item.source is None:
        return Lack(item.name, 0, (), item.place, todo=item.todo)
    archive = item.piece is not None
    where = (address(item.source),)
    beside = mistaken(root, item.piece.layout) if item.piece is not None else ""
    return Lack(
        item.name, item.bytes, where, item.place, item.source.layout, item.mirrored, archive=archive, beside=beside
    )


def _lacking_weights(backbone: str, root: DataRoot) -> tuple[Lack, ...]:
    files, lacks = released_files(backbone), []
    for file in files:
        if file.here(root) is None:
            near = file.mirrored()
            place = near or file.places[0]
            where = tuple(address(each) for each in file.places if each.url)
            name = f"{WEIGHTS}{backbone}" + (f", {file.places[0].name}" if len(files) > 1 else "")
            at, mirrored = cached(place, root), near is not None
            lacks.append(Lack(name, file.bytes, where, at, place.layout, mirrored, install=file.install))
    return tuple(lacks)
