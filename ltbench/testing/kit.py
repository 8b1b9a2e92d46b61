"""The conformance kit: whether a method keeps the contract, on 40 small images, in seconds.

``ltbench plugin check NAME`` shows the results; authors call it from their tests through the fixture
``ltbench_check``. Gradient stages are cut to 3 epochs of batches of 8 rows; the configuration is the recipe's own.

A check that finds a rule broken does not keep the others from looking. A method that raises, diverges or hangs ends the
kit, because every further check would say the same.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ltbench.backbones.registry import find_backbone
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.failures import Diverged
from ltbench.method import Method
from ltbench.method.config import Variant
from ltbench.method.extras import UndeclaredUse
from ltbench.method.local import use
from ltbench.plugin.blame import place_of
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import registry
from ltbench.plugin.system import TimeUp, time_limit
from ltbench.testing.bench import Bench
from ltbench.testing.checks import CHECKS
from ltbench.testing.outcomes import Failed, Skipped, SkipReason
from ltbench.testing.two_ranks import two_ranks_as_one

#: A check that takes longer hangs; the slowest of the official methods takes a minute on a busy core.
SECONDS = 600.0
Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Attributes:
        name: of the check.
        detail: one line: what was measured, what is wrong, or why the check does not apply.
        reason: kind of a skipped check.
        place: file and line of the author's code that a failure came from; empty where none did.
        trace: traceback of a method that raised.
        final: no further check was made.
    """

    name: str
    status: Status
    detail: str = ""
    reason: SkipReason | None = None
    place: str = ""
    trace: str = ""
    final: bool = False

    @property
    def line(self) -> str:
        """Detail and place."""
        return f"{self.detail} ({self.place})" if self.place else self.detail


def check_method(
    name: str | type[Method],
    backbone: str = "tiny-clip",
    reporter: Reporter = SILENT,
    *,
    weights: str | None = None,
    variant: Variant | None = None,
    seconds: float = SECONDS,
    ranks: bool = True,
) -> list[CheckResult]:
    """Run every check on a method.

    Args:
        name: recipe, class, or the file of one (``my.py``, ``my.py:Adapter``).
        backbone: encoder to run it on.
        reporter: told of each check, and of images that are rendered.
        weights: of the encoder, as ``open_backbone`` takes them; ``random`` is as good for most checks.
        variant: ``paper`` or ``code``; None takes the recipe's first.
        seconds: a check that takes longer fails.
        ranks: also train with two processes, where the method deals its rows.

    Raises:
        UnknownName: no plugin registers the method or the encoder.
        UserError: a file that cannot be loaded.
    """
    name = use(name)
    # Looked up here, so that a wrong name is one error and not ten failed checks.
    registry().methods.get(name)
    find_backbone(backbone)
    results: list[CheckResult] = []
    checks = {title: check for title, check in CHECKS.items() if ranks or check is not two_ranks_as_one}
    with Bench(name, backbone, weights, variant, reporter) as bench:
        unfit = _unfit(bench)
        with reporter.task(f"checking {name}", len(checks)) as done:
            for title, check in checks.items():
                if results and results[-1].final:
                    break
                results.append(_one(title, check, bench, unfit, seconds))
                done(1)
    last = results[-1]
    left = list(checks)[len(results) :] if last.final else []
    why = f"not looked at: mend {last.name!r} first"
    return [*results, *(CheckResult(title, "skipped", why, SkipReason.NOT_REACHED) for title in left)]


def _unfit(bench: Bench) -> str:
    """Why the method cannot run on the kit's task or this encoder; empty when it can."""
    try:
        bench.check_fit(bench.task)
    except UserError as error:
        return error.message
    except Exception:
        # A method that cannot say what it needs fails in the checks themselves, each with its own line.
        return ""
    return ""


def _one(title: str, check: Callable[[Bench], str], bench: Bench, unfit: str, seconds: float) -> CheckResult:
    if unfit and title != "presets valid":
        return CheckResult(title, "skipped", unfit, SkipReason.NEEDS_NOT_MET)
    try:
        with time_limit(seconds):
            return CheckResult(title, "passed", check(bench))
    except Skipped as skipped:
        return CheckResult(title, "skipped", str(skipped), skipped.reason)
    except Failed as failed:
        return CheckResult(title, "failed", str(failed), place=_place(failed, bench))
    except Diverged as error:
        return CheckResult(title, "failed", f"training diverged: {error}", final=True)
    except TimeUp as error:
        line = f"took longer than {seconds:g} seconds"
        return CheckResult(title, "failed", line, place=_place(error, bench), final=True)
    except UndeclaredUse as error:
        return CheckResult(title, "failed", str(error), place=_place(error, bench), final=True)
    except Exception as error:
        line = f"{type(error).__name__}: {' '.join(str(error).split())}"
        trace = "".join(traceback.format_exception(error))
        return CheckResult(title, "failed", line, place=_place(error, bench), trace=trace, final=True)


def _place(error: BaseException, bench: Bench) -> str:
    """Where in the author's code an error arose."""
    target = registry().methods.get(bench.name).spec.target
    package = target.partition(".")[0].partition(":")[0]
    found = place_of(error, package) or (place_of(error.__cause__, package) if error.__cause__ else None)
    return "" if found is None else str(found)


__all__ = ["CheckResult", "SkipReason", "check_method"]
