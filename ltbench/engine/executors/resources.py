"""What jobs are to be granted, as the file of a cluster's user has it. None of it decides a result or enters a key."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ltbench.method.config import first_problem
from ltbench.plugin.errors import UnknownName, UserError
from ltbench.plugin.manager import LOCAL_PREFIX, registry
from ltbench.plugin.reading import read_yaml_file

HINT: Final = "docs/how-to/on-a-cluster.md has an example"
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES: Final = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def seconds_of(value: Any) -> int:
    """``90m``, ``4h``, ``2d``, ``HH:MM:SS`` or seconds → seconds.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value).strip()
    if found := re.fullmatch(r"(\d+)([smhd])", text):
        return int(found[1]) * _UNITS[found[2]]
    if found := re.fullmatch(r"(\d+):(\d\d):(\d\d)", text):
        return int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3])
    raise ValueError(f'{text!r} is no time like 90m, 4h, 2d or "04:00:00"')


def bytes_of(value: Any) -> int:
    """``16G``, ``512M`` or bytes → bytes.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if found := re.fullmatch(r"(\d+)([KMGT])i?B?", str(value).strip()):
        return int(found[1]) * _SIZES[found[2]]
    raise ValueError(f"{value!r} is no size like 16G or 512M")


Seconds = Annotated[int, BeforeValidator(seconds_of), Field(ge=1)]
Bytes = Annotated[int, BeforeValidator(bytes_of), Field(ge=2**20)]


class Resources(BaseModel):
    """What one job is granted.

    Attributes:
        cpus: cores; None takes as many as a run has threads.
        memory: bytes; None takes what the cluster gives.
        gpus: graphics processors; a run uses one, and none is shown to it where this is 0.
        time: seconds after which the job is ended, and goes on in another; None takes what the cluster gives.
        partition: of the cluster.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpus: int | None = Field(None, ge=1)
    memory: Bytes | None = None
    gpus: int = Field(0, ge=0, le=1)
    time: Seconds | None = None
    partition: str | None = Field(None, pattern=r"^[\w.,-]+$")

    def over(self, other: Resources) -> Resources:
        """These, and the other's where these say nothing."""
        return Resources.model_validate({**other.model_dump(exclude_unset=True), **self.model_dump(exclude_unset=True)})


#: As the executor has it.
DEFAULT: Final = Resources()


class ResourcesFile(BaseModel):
    """What a file of resources says.

    Attributes:
        default: for every job.
        methods: method → what differs for its jobs.
        group: seconds of expected time until which short runs are put into one job.
        at_a_time: jobs that wait or run at a time; None for as many as there are.
        executors: executor → settings that only it knows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: Resources = DEFAULT
    methods: dict[str, Resources] = Field(default_factory=dict)
    group: Annotated[int, BeforeValidator(seconds_of), Field(ge=0)] = 600
    at_a_time: int | None = Field(None, ge=1)
    executors: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> ResourcesFile:
        """Read a file.

        Raises:
            UserError: no such file, no YAML, or keys or values that it cannot have.
            UnknownName: a method or an executor that nobody registered.
        """
        name = f"resources {path.name}"
        try:
            document = read_yaml_file(path, name=name, hint=HINT)
        except OSError as error:
            raise UserError(f"{name} cannot be read ({error.strerror or error})", HINT) from error
        if not isinstance(document, dict):
            raise UserError(f"{name} is no mapping", HINT)
        try:
            found = cls.model_validate(document)
        except ValidationError as error:
            raise UserError(f"{name}: {first_problem(error)}", HINT) from error
        for method in found.methods:
            if method not in registry().methods and not method.startswith(LOCAL_PREFIX):
                raise UnknownName("method", method, registry().methods.names())
        for executor in found.executors:
            registry().executors.get(executor)
        return found

    def of(self, method: str) -> Resources:
        """What jobs of a method are granted."""
        return self.methods[method].over(self.default) if method in self.methods else self.default

    def most(self, methods: Iterable[str]) -> Resources:
        """The most that one job of these methods needs."""
        each = [self.of(method) for method in methods]
        cpus = [one.cpus for one in each if one.cpus is not None]
        memory = [one.memory for one in each if one.memory is not None]
        return Resources(
            cpus=max(cpus, default=None),
            memory=max(memory, default=None),
            gpus=max((one.gpus for one in each), default=0),
        )

    def check(self, methods: Iterable[str], threads: int) -> None:
        """Refuse jobs that could not run as the plan says.

        Raises:
            UserError: a job has fewer cores than its runs have threads.
        """
        for method in methods:
            cpus = self.of(method).cpus
            if cpus is not None and cpus < threads:
                raise UserError(
                    f"jobs of {method} get {cpus} CPUs, and its runs have {threads} threads",
                    f"cpus: {threads} in the resources file",
                )
