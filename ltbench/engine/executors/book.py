"""The book of a sweep whose jobs outlive the process that submits them: one folder below ``--out``, all of it files.

``plan.json`` says what the runs are, ``jobs/NAME.json`` which runs a job makes and how the executor calls it,
``told/NUMBER.json`` how a run ended, in few words. Every file is written whole, by one process, and read by any.
Nothing in it decides whether a run is finished, which its record does.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from ltbench.engine.cells import Cell, CellResult
from ltbench.engine.executors.base import Job
from ltbench.engine.executors.resources import Resources
from ltbench.engine.how import SweepOptions
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.plugin.errors import Damaged
from ltbench.plugin.files import write_atomic
from ltbench.plugin.reading import one_line
from ltbench.plugin.sealed import read_sealed_json, write_sealed_json
from ltbench.records.canonical import sha256_of
from ltbench.tasks.registry import PinnedTask
from ltbench.tasks.task import Fingerprints

FOLDER: Final = "sweeps"
#: Variable with the name of the node that a job runs on, as Slurm sets it.
NODE: Final = "SLURMD_NODENAME"
#: Variable in which an executor says what it calls the machine, where that is not the node's name or the host's.
MACHINE: Final = "LTBENCH_MACHINE"
SCHEMA: Final = 1
#: What jobs elsewhere are to be told of this process: where data lie, what is off limits, which plugins load.
_TOLD: Final = ("LTBENCH_", "HF_HUB_OFFLINE")
#: Variables whose value is one folder or several, which mean the same on another machine only in full.
_FOLDERS: Final = ("LTBENCH_CACHE", "LTBENCH_DATA", "LTBENCH_MIRROR", "LTBENCH_TASKS")


@dataclass(frozen=True)
class Entry:
    """A job as the book has it.

    Attributes:
        executor: its name.
        identity: what the executor calls the job.
        submitted: seconds since the epoch.
        cells: numbers of its runs.
        cancelled: it was given up.
    """

    name: str
    executor: str
    identity: str
    submitted: float
    cells: tuple[int, ...]
    resources: Resources
    cancelled: bool = False


class SweepBook:
    """One sweep on disk.

    Args:
        folder: made by :meth:`begin`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        document = self._read(folder / "plan.json")
        hint = f"remove {folder}"
        try:
            if document["schema"] != SCHEMA:
                raise Damaged("plan.json", f"it is of schema {document['schema']}", hint)
            self.plan = SweepPlan.model_validate_json(json.dumps(document["plan"]))
            self.options = _options(document["options"])
            self.files = tuple(str(path) for path in document["files"])
            self.environment = {str(name): str(value) for name, value in document["environment"].items()}
            self.working = Path(document["working"])
            self.cells = tuple(_cell(entry, self.plan) for entry in document["cells"])
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise Damaged("plan.json", one_line(error), hint) from error
        self._numbers = {cell: number for number, cell in enumerate(self.cells)}

    @staticmethod
    def place(plan: SweepPlan, options: SweepOptions) -> Path:
        """Folder of the book of a plan, in full; the same plan has the same one."""
        how = {"overwrite": options.overwrite, "device": options.device, "audit": options.audit_selection}
        identity = sha256_of({"plan": plan.model_dump(mode="json"), **how})
        return _full(options.out) / FOLDER / identity[:16]

    @classmethod
    def begin(cls, plan: SweepPlan, options: SweepOptions, cells: Sequence[Cell], files: Sequence[str]) -> SweepBook:
        """Write down what the runs of a plan are; paths in full, since jobs run elsewhere.

        Raises:
            UserError: the folder cannot be written.
        """
        folder = cls.place(plan, options)
        for part in ("jobs", "told", "logs"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        items = {id(item): number for number, item in enumerate(plan.items)}
        document = {
            "schema": SCHEMA,
            "plan": plan.model_dump(mode="json"),
            "options": {
                **asdict(options),
                "out": str(_full(options.out)),
                "data_root": None if options.data_root is None else str(_full(options.data_root)),
            },
            "cells": [[_pinned(cell.pinned), items[id(cell.item)], cell.seed] for cell in cells],
            "files": [_full_file(path) for path in files],
            "environment": _environment(),
            "working": str(Path.cwd()),
        }
        write_sealed_json(folder / "plan.json", document)
        book = cls(folder)
        # Those of the caller, whose options may hold tuples where JSON has lists.
        book.cells = tuple(cells)
        book._numbers = {cell: number for number, cell in enumerate(book.cells)}
        return book

    def add(self, job: Job, executor: str) -> None:
        """Note a job before it is submitted, so that it can be read where it begins."""
        self._write(Entry(job.name, executor, "", time.time(), self._numbered(job.cells), job.resources))

    def submitted(self, name: str, identity: str) -> None:
        """Note what the executor calls a job."""
        self._write(replace(self.entry(name), identity=identity, submitted=time.time()))

    def cancelled(self, name: str) -> None:
        """Note that a job is given up, which a supervisor of it may look for."""
        write_atomic(self.folder / "jobs" / f"{name}.cancelled", "")

    def entry(self, name: str) -> Entry:
        """One job.

        Raises:
            Damaged: the file cannot be read.
        """
        path = self.folder / "jobs" / f"{name}.json"
        document = self._read(path)
        try:
            return Entry(
                name,
                document["executor"],
                document["identity"],
                float(document["submitted"]),
                tuple(int(number) for number in document["cells"]),
                Resources.model_validate(document["resources"]),
                is_cancelled(self.folder, name),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise Damaged(path.name, one_line(error), f"remove {path}") from error

    def entries(self, executor: str = "") -> list[Entry]:
        """Jobs that the executor has taken, the oldest first."""
        found = [self.entry(path.stem) for path in (self.folder / "jobs").glob("*.json")]
        known = [entry for entry in found if entry.identity and executor in ("", entry.executor)]
        return sorted(known, key=lambda entry: (entry.submitted, entry.name))

    def job(self, entry: Entry) -> Job:
        """A job as it was submitted."""
        cells = tuple(self.cells[number] for number in entry.cells)
        return Job(entry.name, cells, self.plan, self.options, self.files, entry.resources, self.folder)

    def tell(self, job: str, result: CellResult) -> None:
        """Note how a run of a job ended."""
        number = self._numbers[result.cell]
        document = {
            "job": job,
            "label": result.cell.label,
            "status": result.status,
            "seconds": round(result.seconds, 3),
            "score": result.score,
            "reused": result.reused,
            "reason": result.reason,
            "record": None if result.record is None else str(result.record),
            "machine": os.environ.get(MACHINE) or os.environ.get(NODE) or socket.gethostname(),
            "ended": time.time(),
        }
        write_sealed_json(self.folder / "told" / f"{number}.json", document)

    def told(self, cell: Cell, job: str = "") -> CellResult | None:
        """How a run ended, by the word of this job, or of any; None where there is none."""
        try:
            document = self._read(self.folder / "told" / f"{self._numbers[cell]}.json")
            if job not in ("", document["job"]):
                return None
            record = document["record"]
            return CellResult(
                cell,
                str(document["status"]),
                float(document["seconds"]),
                None if document["score"] is None else float(document["score"]),
                bool(document["reused"]),
                str(document["reason"]),
                None if record is None else Path(record),
            )
        except (Damaged, OSError, KeyError, TypeError, ValueError):
            # It saves asking the store; the run is made again at worst, which finds its record.
            return None

    def machine(self, cell: Cell) -> str:
        """Where a run was made that a job has told of, as the cluster calls that machine; empty where none has."""
        try:
            return str(self._read(self.folder / "told" / f"{self._numbers[cell]}.json")["machine"])
        except (Damaged, OSError, KeyError, TypeError):
            return ""

    def _numbered(self, cells: Sequence[Cell]) -> tuple[int, ...]:
        return tuple(self._numbers[cell] for cell in cells)

    def _write(self, entry: Entry) -> None:
        document = {
            "executor": entry.executor,
            "identity": entry.identity,
            "submitted": entry.submitted,
            "cells": list(entry.cells),
            "labels": [self.cells[number].label for number in entry.cells],
            "resources": entry.resources.model_dump(mode="json", exclude_unset=True),
        }
        write_sealed_json(self.folder / "jobs" / f"{entry.name}.json", document)

    @staticmethod
    def _read(path: Path) -> Any:
        return read_sealed_json(path, hint=f"remove {path.parent}", most=2**28)


def is_cancelled(folder: Path, name: str) -> bool:
    """Whether a job of a book was given up."""
    return (folder / "jobs" / f"{name}.cancelled").exists()


def _full(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))


def _full_file(text: str) -> str:
    """``my.py:CLASS`` with the path in full."""
    path, colon, name = text.partition(".py:")
    return f"{_full(Path(f'{path}.py'))}:{name}" if colon else str(_full(Path(text)))


def _environment() -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if name.startswith(_TOLD) and name != MACHINE}
    for name in _FOLDERS:
        if name in found and "://" not in found[name]:
            parts = found[name].split(os.pathsep)
            found[name] = os.pathsep.join(str(_full(Path(part))) for part in parts if part)
    return found


def _pinned(pinned: PinnedTask) -> dict[str, Any]:
    return {
        "address": pinned.address,
        "version": pinned.version,
        "fingerprints": pinned.fingerprints.model_dump(exclude_none=True),
        "folder": None if pinned.folder is None else str(pinned.folder),
    }


def _cell(entry: Sequence[Any], plan: SweepPlan) -> Cell:
    task, item, seed = entry
    folder = None if task["folder"] is None else Path(task["folder"])
    fingerprints = Fingerprints.model_validate(task["fingerprints"])
    return Cell(PinnedTask(task["address"], int(task["version"]), fingerprints, folder), plan.items[item], int(seed))


def _options(document: Mapping[str, Any]) -> SweepOptions:
    root = document["data_root"]
    return SweepOptions(**{**document, "out": Path(document["out"]), "data_root": None if root is None else Path(root)})


def books(out: Path) -> Iterator[Path]:
    """Folders of the books below a folder of runs."""
    yield from sorted(path.parent for path in (out / FOLDER).glob("*/plan.json"))
