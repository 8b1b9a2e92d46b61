"""A sweep whose runs are made by jobs elsewhere: submitted, followed, left alone, asked for, given up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.cells import Cell, CellResult, expand, request_of
from ltbench.engine.executors.base import Executor, ExecutorOptions, Job, Seen, open_executor
from ltbench.engine.executors.book import Entry, SweepBook
from ltbench.engine.executors.drive import drive, new_name
from ltbench.engine.executors.resources import Resources
from ltbench.engine.expected import expected
from ltbench.engine.how import SweepOptions
from ltbench.engine.sweep_plan import SweepPlan
from ltbench.engine.where import Where, files_of, recorded_cells
from ltbench.plugin.errors import UserError

#: Share of its time limit that the runs of a job are expected to take at most.
_FILLED = 0.8


class Elsewhere:
    """One plan and its executor.

    Raises:
        UnknownName: no such executor.
        UserError: the executor cannot be used here; the resources do not fit the plan.
    """

    def __init__(self, plan: SweepPlan, options: SweepOptions, where: Where, reporter: Reporter = SILENT) -> None:
        self.plan, self.options, self.where = plan, options, where
        self.cells = expand(plan)
        methods = dict.fromkeys(cell.item.method for cell in self.cells)
        where.resources.check(methods, plan.threads)
        place = SweepBook.place(plan, options)
        self.book: SweepBook | None = SweepBook(place) if (place / "plan.json").is_file() else None
        self.executor = open_executor(
            where.executor,
            ExecutorOptions(
                jobs=options.jobs,
                threads=plan.threads,
                device=options.device,
                resources=where.resources.most(methods),
                address=where.scheduler,
                settings=where.resources.executors.get(where.executor, {}),
                folder=place / "logs",
            ),
        )
        for line in _unheeded(self.executor, where, methods):
            reporter.line(line)

    def close(self) -> None:
        """Leave the executor; jobs that outlive this process go on."""
        self.executor.close()

    def results(self) -> Iterator[CellResult]:
        """Results of all runs as they come: of what is recorded first, then of what has to run."""
        done = recorded_cells(self.cells, self.plan, self.options, self.where)
        yield from done.values()
        left = [cell for cell in self.cells if cell not in done]
        if not left:
            return
        book, flying, groups = self._begin(left)
        yield from drive(
            groups,
            self.executor,
            ask=lambda job, cell: book.told(cell, job.name) or self._recorded(cell),
            most=self.where.resources.at_a_time,
            flying=flying,
            before=self._before,
            after=self._after,
            again=True,
            at=book.machine,
        )

    def _recorded(self, cell: Cell) -> CellResult | None:
        """A run whose job could write its record and no more."""
        return recorded_cells([cell], self.plan, self.options, self.where).get(cell)

    def submit(self) -> tuple[int, list[str]]:
        """Submit what is neither recorded nor under way, and come back at once.

        Returns:
            How many runs are recorded, and what the executor calls the new jobs.

        Raises:
            UserError: jobs would end with this process, or could not all be submitted at once.
        """
        if not self.executor.lasting:
            raise UserError(f"jobs of executor {self.where.executor} end with this process", "leave --detach out")
        done = recorded_cells(self.cells, self.plan, self.options, self.where)
        left = [cell for cell in self.cells if cell not in done]
        if not left:
            return len(done), []
        _, flying, groups = self._begin(left)
        most = self.where.resources.at_a_time
        if most is not None and len(flying) + len(groups) > most:
            raise UserError(
                f"{len(groups)} jobs would be submitted, and the resources file allows {most} at a time",
                "--detach without at_a_time, or the same command without --detach",
            )
        ids: list[str] = []
        while groups:
            alike = [job for job in groups if job.resources == groups[0].resources]
            groups = [job for job in groups if job.resources != alike[0].resources]
            self._before(alike)
            made = self.executor.submit(alike)
            self._after(alike, made)
            ids += made
        return len(done), ids

    def standing(self) -> list[Standing]:
        """How each run stands: by its record, else by what its job told, else by how its job stands."""
        done = recorded_cells(self.cells, self.plan, self.options, self.where)
        told = {} if self.book is None else {cell: self.book.told(cell) for cell in self.cells}
        jobs: dict[Cell, tuple[Entry, Seen]] = {}
        for entry, seen in self._entries():
            assert self.book is not None
            for number in entry.cells:
                jobs[self.book.cells[number]] = entry, seen
        return [_standing(cell, done.get(cell), told.get(cell), jobs.get(cell)) for cell in self.cells]

    def cancel(self) -> list[str]:
        """Give up the jobs that are not over; what is recorded stays, and so do checkpoints.

        Returns:
            What the executor called them.
        """
        live = [entry for entry, seen in self._entries() if seen.state != "over"]
        if self.book is not None:
            for entry in live:
                self.book.cancelled(entry.name)
        if live:
            self.executor.cancel([entry.identity for entry in live])
        return [entry.identity for entry in live]

    def _entries(self) -> list[tuple[Entry, Seen]]:
        """Jobs of the book that were not given up, and how they stand."""
        if self.book is None:
            return []
        entries = [entry for entry in self.book.entries(self.where.executor) if not entry.cancelled]
        seen = self.executor.look([entry.identity for entry in entries])
        return [(entry, seen[entry.identity]) for entry in entries]

    def _begin(self, left: Sequence[Cell]) -> tuple[SweepBook, dict[str, Job], list[Job]]:
        """Write the plan down; jobs of earlier calls that are not over, and new ones for the other runs."""
        self.book = SweepBook.begin(self.plan, self.options, self.cells, files_of(self.cells))
        flying = {entry.identity: self.book.job(entry) for entry, seen in self._entries() if seen.state != "over"}
        wanted = set(left)
        # Runs of a job under way that are recorded by now are none of this call's results.
        flying = {
            name: replace(job, cells=cells)
            for name, job in flying.items()
            if (cells := tuple(cell for cell in job.cells if cell in wanted))
        }
        taken = {cell for job in flying.values() for cell in job.cells}
        return self.book, flying, self._grouped([cell for cell in left if cell not in taken])

    def _grouped(self, cells: Sequence[Cell]) -> list[Job]:
        """Jobs of runs that need the same resources and are expected to be short together, in their order."""
        assert self.book is not None
        groups: list[tuple[Resources, float, list[Cell]]] = []
        for cell in cells:
            resources, seconds = self.where.resources.of(cell.item.method), self._seconds(cell)
            most = float(self.where.resources.group)
            if resources.time is not None:
                most = min(most, _FILLED * resources.time)
            last = groups[-1] if groups else None
            if last is not None and last[0] == resources and seconds is not None and last[1] + seconds <= most:
                last[2].append(cell)
                groups[-1] = (resources, last[1] + seconds, last[2])
            else:
                # Of a run that nobody knows the time of, nothing is put behind it.
                groups.append((resources, float("inf") if seconds is None else seconds, [cell]))
        files = files_of(cells)
        return [
            Job(new_name(), tuple(group), self.plan, self.options, files, resources, self.book.folder)
            for resources, _, group in groups
        ]

    def _seconds(self, cell: Cell) -> float | None:
        """What a run is expected to take; seeds of one recipe are asked for once."""
        known = self.__dict__.setdefault("_known", {})
        place = cell.pinned, id(cell.item)
        if place not in known:
            try:
                found = expected(request_of(cell, self.plan, self.options))
            except UserError:
                found = None
            known[place] = None if found is None else found.seconds
        seconds: float | None = known[place]
        return seconds

    def _before(self, jobs: Sequence[Job]) -> None:
        assert self.book is not None
        for job in jobs:
            self.book.add(job, self.where.executor)

    def _after(self, jobs: Sequence[Job], ids: Sequence[str]) -> None:
        assert self.book is not None
        for job, identity in zip(jobs, ids, strict=True):
            self.book.submitted(job.name, identity)


@dataclass(frozen=True)
class Standing:
    """How a run stands.

    Attributes:
        state: how it ended (as :class:`~ltbench.engine.cells.CellResult` has it), else ``running``, ``waiting``,
            ``unknown`` (the executor does not answer) or ``open`` (no job has it).
        job: what the executor calls its job; empty where it has none, or had one before.
        result: how it ended.
    """

    cell: Cell
    state: str
    job: str = ""
    result: CellResult | None = None


def _standing(cell: Cell, done: CellResult | None, told: CellResult | None, job: tuple[Entry, Seen] | None) -> Standing:
    if done is not None:
        return Standing(cell, done.status, result=done)
    if job is not None and job[1].state != "over":
        entry, seen = job
        # Of a job of several runs, those that it has told of are over.
        if told is None or told.status == "busy":
            return Standing(cell, seen.state, entry.identity)
    if told is not None and told.status != "busy":
        return Standing(cell, told.status, result=told)
    return Standing(cell, "open")


def _unheeded(executor: Executor, where: Where, methods: Sequence[str] | dict[str, None]) -> list[str]:
    """One line where the resources file asks for what the executor cannot grant."""
    asked = {name for method in methods for name in where.resources.of(method).model_fields_set}
    beyond = sorted(asked - executor.heeds)
    return [f"executor {where.executor} does not grant {', '.join(beyond)}; left alone"] if beyond else []
