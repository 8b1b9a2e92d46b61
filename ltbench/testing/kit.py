"""The conformance kit: whether a method keeps the contract, on 40 small images, in seconds.

``ltbench plugin check NAME`` shows the results; authors call it from their tests through the fixture
``ltbench_check``. Gradient stages are cut to 3 epochs of batches of 8 rows; the configuration is the recipe's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ltbench.backbones.registry import find_backbone
from ltbench.data.progress import SILENT, Reporter
from ltbench.engine.failures import Diverged
from ltbench.method.config import Variant
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import registry
from ltbench.testing.bench import Bench
from ltbench.testing.checks import CHECKS
from ltbench.testing.outcomes import Failed, Skipped, SkipReason

Status = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Attributes:
        name: of the check.
        detail: one line: what was measured, what is wrong, or why the check does not apply.
        reason: kind of a skipped check.
    """

    name: str
    status: Status
    detail: str = ""
    reason: SkipReason | None = None


def check_method(
    name: str,
    backbone: str = "tiny-clip",
    reporter: Reporter = SILENT,
    *,
    weights: str | None = None,
    variant: Variant | None = None,
) -> list[CheckResult]:
    """Run every check on a registered method.

    Args:
        name: recipe.
        backbone: encoder to run it on.
        reporter: told of each check, and of images that are rendered.
        weights: of the encoder, as ``open_backbone`` takes them; ``random`` is as good for most checks.
        variant: ``paper`` or ``code``; None takes the recipe's first.

    Raises:
        UnknownName: no plugin registers the method or the encoder.
    """
    # Looked up here, so that a wrong name is one error and not ten failed checks.
    registry().methods.get(name)
    find_backbone(backbone)
    results = []
    with Bench(name, backbone, weights, variant, reporter) as bench:
        unfit = _unfit(bench)
        with reporter.task(f"checking {name}", len(CHECKS)) as done:
            for title, check in CHECKS.items():
                results.append(_one(title, check, bench, unfit))
                done(1)
    return results


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


def _one(title: str, check: Callable[[Bench], str], bench: Bench, unfit: str) -> CheckResult:
    if unfit and title != "presets valid":
        return CheckResult(title, "skipped", unfit, SkipReason.NEEDS_NOT_MET)
    try:
        return CheckResult(title, "passed", check(bench))
    except Skipped as skipped:
        return CheckResult(title, "skipped", str(skipped), skipped.reason)
    except Failed as failed:
        return CheckResult(title, "failed", str(failed))
    except Diverged as error:
        return CheckResult(title, "failed", f"training diverged: {error}")
    except Exception as error:
        line = " ".join(str(error).split())
        return CheckResult(title, "failed", f"{type(error).__name__}: {line}")


__all__ = ["CheckResult", "SkipReason", "check_method"]
