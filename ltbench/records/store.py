"""Where runs live: ``<out>/<task address>/<method>/<key[:16]>/attempt-<n>/``, one folder per attempt."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from ltbench.plugin.errors import UserError
from ltbench.plugin.files import explain_os_error, remove_leftovers, write_atomic
from ltbench.plugin.names import below
from ltbench.records.read import RECORD_NAME, load_record
from ltbench.records.record import RunRecord

WEIGHTS_NAME = "weights.safetensors"
TRAINING_NAME = "training.safetensors"
#: sha256 of the code of the method that works in an attempt's folder.
CODE_NAME = "code.sha256"
_ATTEMPT = re.compile(r"^attempt-([1-9]\d*)$")


class Overwrite(StrEnum):
    """When a key that already has a record is run again, as a new attempt."""

    NEVER = "never"
    FAILED = "failed"
    ALWAYS = "always"


class RunBusyError(UserError):
    """Another process is running the same key."""


@dataclass
class AttemptFolder:
    """Folder of one attempt.

    Attributes:
        path: the folder.
        number: 1, 2, …
        resumed: the attempt was interrupted and has checkpoints to go on from.
    """

    path: Path
    number: int
    resumed: bool = False
    _lock: FileLock | None = field(default=None, repr=False, compare=False)

    @property
    def record(self) -> Path:
        """The record; exists when the attempt is over."""
        return self.path / RECORD_NAME

    @property
    def logits(self) -> Path:
        """Logits of the test rows."""
        return self.path / "logits.safetensors"

    @property
    def weights(self) -> Path:
        """Final weights of the method's modules."""
        return self.path / WEIGHTS_NAME

    @property
    def training(self) -> Path:
        """What is kept of the training view beside the weights: observed labels, class names."""
        return self.path / TRAINING_NAME

    @property
    def decisions(self) -> Path:
        """Decisions (rows, classes, epochs) of methods that make some."""
        return self.path / "decisions.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints; removed after success."""
        return self.path / "checkpoints"

    @property
    def audit(self) -> Path:
        """Logits of each epoch, where the run is audited from its start."""
        return self.path / "audit"

    @property
    def log(self) -> Path:
        """Log, one JSON object a line."""
        return self.path / "log.jsonl"

    @property
    def finished(self) -> bool:
        """Whether the attempt is over, well or not."""
        return self.record.exists()

    @property
    def resumable(self) -> bool:
        """Whether the attempt was interrupted after it had saved a checkpoint."""
        return not self.finished and self.checkpoints.is_dir() and any(self.checkpoints.iterdir())

    def forget_other(self, code: str | None) -> None:
        """Remove what other code left here, and note whose the folder is now; ``None`` leaves everything alone."""
        noted = self.path / CODE_NAME
        if code is None or (noted.exists() and noted.read_text(encoding="utf-8", errors="replace") == code):
            return
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        write_atomic(noted, code)

    def discard_empty(self) -> None:
        """Remove a folder in which nothing has been done."""
        if all(path.name == CODE_NAME for path in self.path.iterdir()):
            shutil.rmtree(self.path)

    def write(self, record: RunRecord) -> Path:
        """Write the record, atomically and once.

        Raises:
            UserError: a record is there already (it is left as it is), or the file cannot be written.
        """
        if self.finished:
            raise UserError(f"record {self.record} exists and is never rewritten", "ltbench run --overwrite always …")
        if record.attempt != self.number:
            raise ValueError(f"record of attempt {record.attempt} in the folder of attempt {self.number}")
        write_atomic(self.record, record.to_json())
        return self.record

    def close(self) -> None:
        """Let other processes run this key."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> AttemptFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RunStore:
    """All runs below one folder (``--out``).

    Args:
        out: made on first use.
    """

    def __init__(self, out: Path) -> None:
        self.out = Path(out)

    def folder(self, task: str, method: str, key: str) -> Path:
        """Folder of all attempts at one key; ``task`` is the address.

        Raises:
            UserError: task or method cannot name a folder.
        """
        return below(self.out, task, method, key[:16])

    def attempts(self, task: str, method: str, key: str) -> list[AttemptFolder]:
        """Attempts at one key, oldest first."""
        return _attempts(self.folder(task, method, key))

    def finished(self, key: str, overwrite: Overwrite = Overwrite.NEVER, code: str | None = None) -> RunRecord | None:
        """The record that makes another run of this key needless, or ``None``.

        With ``never`` that is the newest completed record, else the newest of any status; with ``failed`` only a
        completed one counts; with ``always`` none does.

        Args:
            code: sha256 of the method's code; a record of other code does not count. ``None`` leaves code out, as is
                right for ltbench's own methods, whose version is in the key.

        Raises:
            UserError: a record of this key cannot be read.
        """
        if overwrite is Overwrite.ALWAYS:
            return None
        records = [
            record for record in self._records(key) if record.key == key and code in (None, record.method.code_sha256)
        ]
        completed = [record for record in records if record.status == "completed"]
        standing = completed if completed or overwrite is Overwrite.FAILED else records
        return max(standing, key=lambda record: record.attempt, default=None)

    def _records(self, key: str) -> Iterator[RunRecord]:
        if not self.out.is_dir():
            return
        for folder in sorted(self.out.glob(f"*/*/{key[:16]}")):
            for attempt in _attempts(folder):
                if attempt.finished:
                    yield load_record(attempt.record)

    def begin(self, task: str, method: str, key: str, wait: float = 0.0, code: str | None = None) -> AttemptFolder:
        """Open the attempt to work on, locked until :meth:`AttemptFolder.close`: the interrupted one, else a new one.

        An attempt that was interrupted before its first checkpoint, or that other code began, is used again from its
        start.

        Args:
            task: address.
            method: recipe.
            key: of the run.
            wait: seconds to wait for another process that runs the same key.
            code: as for :meth:`finished`.

        Raises:
            RunBusyError: another process runs the same key.
            UserError: the folder cannot be written.
        """
        folder = self.folder(task, method, key)
        lock = FileLock(folder / ".lock")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=wait)
        except Timeout as error:
            raise RunBusyError(
                f"another process is running {method} on {task} (key {key[:16]})", "ltbench list runs"
            ) from error
        except OSError as error:
            raise explain_os_error(error, f"{task}/{method}/{key[:16]}") from error
        try:
            remove_leftovers(folder)
            before = _attempts(folder)
            if before and not before[-1].finished:
                attempt = before[-1]
                attempt.forget_other(code)
                attempt.resumed = attempt.resumable
            else:
                number = before[-1].number + 1 if before else 1
                attempt = AttemptFolder(folder / f"attempt-{number}", number)
                attempt.path.mkdir()
                attempt.forget_other(code)
        except OSError as error:
            lock.release()
            raise explain_os_error(error, f"{task}/{method}/{key[:16]}") from error
        attempt._lock = lock
        return attempt

    def write(self, record: RunRecord) -> Path:
        """Write a record to its place, atomically and once; see :meth:`AttemptFolder.write`."""
        folder = self.folder(record.task.address, record.method.name, record.key)
        return AttemptFolder(folder / f"attempt-{record.attempt}", record.attempt).write(record)


def _attempts(folder: Path) -> list[AttemptFolder]:
    if not folder.is_dir():
        return []
    numbered = [(match, path) for path in folder.iterdir() if (match := _ATTEMPT.match(path.name)) and path.is_dir()]
    return sorted((AttemptFolder(path, int(match[1])) for match, path in numbered), key=lambda attempt: attempt.number)
