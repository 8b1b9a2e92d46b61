"""How a run may end badly."""

from __future__ import annotations

from ltbench.plugin.errors import UserError
from ltbench.plugin.reading import one_line

#: What torch says where it says in a plain RuntimeError that the system refused it something.
_SAYS = ("can't allocate memory", "cannot allocate memory", "out of memory", "no space left", "killed by signal")
#: Errors of torch that are the machine's.
_NAMED = ("OutOfMemoryError", "DistBackendError", "DistNetworkError", "DistStoreError")
#: What gloo and nccl say when another process of the run is gone.
_GONE = ("connection closed by peer", "connection reset by peer", "nccl communicator was aborted")


class Diverged(Exception):
    """A loss is no longer finite.

    Attributes:
        step: 1-based step within the stage.
    """

    def __init__(self, stage: str, step: int, what: str) -> None:
        super().__init__(f"{what} in stage {stage!r} at step {step}")
        self.step = step
        self._told = (stage, step, what)

    def __reduce__(self) -> tuple[type[Diverged], tuple[str, int, str]]:
        return type(self), self._told


class OutOfTime(Exception):
    """A time cap passed before training ended."""


class MachineFault(UserError):
    """Disk, memory, cache or a signal failed a run, not its method: nothing is recorded of it."""

    @classmethod
    def of(cls, error: BaseException) -> MachineFault:
        """The line for what went wrong."""
        what = f"{type(error).__name__}: {one_line(error)}"
        return cls(
            f"the machine failed here, not the method ({what}); nothing is recorded as a result",
            "the same command again, which goes on from the last finished epoch",
        )


def is_the_machines(error: BaseException) -> bool:
    """Whether an error, or what it was raised from, is of the system: it may not come again, and says nothing of a
    method."""
    at: BaseException | None = error
    while at is not None:
        # Of torch's own errors by their names, so that none is imported here.
        if isinstance(at, OSError | MemoryError | UserError) or type(at).__name__ in _NAMED:
            return True
        if isinstance(at, RuntimeError) and any(text in str(at).lower() for text in (*_SAYS, *_GONE)):
            return True
        at = at.__cause__
    return False
