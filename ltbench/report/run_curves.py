"""Curves of runs: what their logs have, epoch by epoch, given to whatever draws it. No run is asked."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from ltbench.plugin.errors import Damaged, UserError
from ltbench.plugin.files import explain_os_error
from ltbench.plugin.manager import registry
from ltbench.plugin.reading import parse_json

LOG_NAME: Final = "log.jsonl"
#: Of an entry, what is no curve.
_PLACES: Final = {"stage", "epoch", "done"}


class Curves(Protocol):
    """Takes the curves of one run."""

    def add(self, name: str, value: float, epoch: int) -> None:
        """One point; ``name`` is ``STAGE/TERM``, epochs count from 1."""
        ...

    def close(self) -> None:
        """Write what was added."""
        ...


class TensorBoardCurves:
    """An event file that TensorBoard reads."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder))

    def add(self, name: str, value: float, epoch: int) -> None:
        """A scalar."""
        self._writer.add_scalar(name, value, epoch)

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()


def open_tensorboard(folder: Path) -> TensorBoardCurves:
    """Curves of one run as an event file.

    Raises:
        UserError: TensorBoard is not installed.
    """
    try:
        return TensorBoardCurves(folder)
    except ImportError as error:
        why = "curves for TensorBoard need it, and it is not installed"
        raise UserError(why, "pip install 'ltbench[tensorboard]'") from error


@dataclass
class _Run:
    """A log that is followed.

    Attributes:
        read: bytes that were given on.
    """

    curves: Curves
    read: int = 0


@dataclass
class Drawing:
    """Logs below a folder of runs on their way to a folder of curves.

    Args:
        out: folder of runs.
        into: folder of the curves, one folder a run; what an earlier drawing left of a run is replaced.
        opener: opens the curves of one run.
    """

    out: Path
    into: Path
    opener: Callable[[Path], Curves]
    _runs: dict[Path, _Run] = field(default_factory=dict)

    def draw(self) -> int:
        """Give on what the logs have gained since.

        Returns:
            Points that were given on.

        Raises:
            UserError: the folder of curves cannot be written.
        """
        points = 0
        for log in sorted(self.out.glob(f"*/*/*/*/{LOG_NAME}")):
            try:
                points += self._draw(log)
            except OSError as error:
                raise explain_os_error(error, str(self.into)) from error
        return points

    @property
    def runs(self) -> int:
        """Runs that have curves."""
        return len(self._runs)

    def close(self) -> None:
        """Write what was given on."""
        for run in self._runs.values():
            run.curves.close()

    def _draw(self, log: Path) -> int:
        if log not in self._runs:
            place = self.into / log.parent.relative_to(self.out)
            shutil.rmtree(place, ignore_errors=True)
            self._runs[log] = _Run(self.opener(place))
        run, points = self._runs[log], 0
        with log.open("rb") as file:
            file.seek(run.read)
            content = file.read()
        # The last line may be half written yet.
        whole = content[: content.rfind(b"\n") + 1]
        run.read += len(whole)
        for entry in _entries(whole):
            for name, value in entry.items():
                if name not in _PLACES and _is_number(value):
                    run.curves.add(f"{entry['stage']}/{name}", float(value), entry["epoch"] + 1)
                    points += 1
        return points


def _entries(content: bytes) -> Iterator[Mapping[str, Any]]:
    for line in content.splitlines():
        try:
            entry = parse_json(line, name=LOG_NAME)
        except Damaged:
            # Two processes that were killed in turn may leave a line of both.
            continue
        if isinstance(entry, dict) and _is_place(entry.get("stage"), entry.get("epoch")):
            yield entry


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _is_place(stage: object, epoch: object) -> bool:
    whole = isinstance(epoch, int) and not isinstance(epoch, bool) and 0 <= epoch < 2**31
    return whole and isinstance(stage, str)


def draw(out: Path, into: Path, to: str, follow: float | None = None) -> Drawing:
    """Give the curves of all runs below a folder to a reporter.

    Args:
        to: its name.
        follow: seconds between two looks, until interrupted; None looks once.

    Raises:
        UnknownName: no plugin registers it.
        UserError: it is not installed; the folder of runs does not exist; the folder of curves cannot be written.
    """
    opener: Callable[[Path], Curves] = registry().reporters.get(to).spec.load()
    if not out.is_dir():
        raise UserError(f"{out} does not exist", "--out DIR, a folder of runs")
    drawing = Drawing(out, into, opener)
    try:
        drawing.draw()
        while follow is not None:
            time.sleep(follow)
            drawing.draw()
    finally:
        drawing.close()
    return drawing
