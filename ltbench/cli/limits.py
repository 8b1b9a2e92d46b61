"""``--thresholds``: a limit for each class, from the validation rows of a run."""

from __future__ import annotations

from pathlib import Path

from ltbench.plugin.errors import UserError


def check_rule(rule: str, class_names: tuple[str, ...] | None) -> None:
    """Refuse what is no rule, before anything is opened.

    Raises:
        UserError: it is none, or other classes than those of the run are asked for.
    """
    from ltbench.metrics.errors import MetricError
    from ltbench.metrics.thresholds import Rule

    try:
        Rule.parse(rule)
    except MetricError as error:
        raise UserError(f"--thresholds: {error}", "--thresholds f1") from error
    if class_names is not None:
        raise UserError("thresholds are of the run's own classes, not of --classes", "leave one of them out")


def limits_of(record: Path, rule: str, data_root: Path | None, weights: str | None) -> dict[str, float | None]:
    """Class of a run → logit above which it is present; None for a class without a threshold.

    Raises:
        UserError: as :func:`ltbench.engine.calibrate.judged_rows`.
    """
    from ltbench.cli.output import note
    from ltbench.cli.reporting import reporter
    from ltbench.engine.calibrate import judged_rows
    from ltbench.metrics.thresholds import Rule

    judged = judged_rows(record, data_root, reporter(), weights)
    if not judged.own:
        note(
            f"note: thresholds are of the same method trained without {len(judged.labels)} of the training images, "
            "because its runs have no validation images"
        )
    found = judged.thresholds(Rule.parse(rule))
    return {name: None if one is None else one.logit for name, one in found.items()}
