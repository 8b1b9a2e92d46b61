"""A budget that is too small cuts trials first, then the curve, then methods, then seeds, and says each."""

from __future__ import annotations

import pytest

from ltbench.engine.budget import CAPS, Candidate, cap_of_trial, fit, parse_budget, seconds_of
from ltbench.plugin.errors import UserError

SEEDS = (0, 1, 2)
SHARES = (0.25, 0.5)
THREE = (Candidate("good", 10.0, 80.0), Candidate("fair", 10.0, 70.0), Candidate("poor", 10.0, 60.0))


def test_what_fits_is_not_cut() -> None:
    extent = fit(THREE, 8, SEEDS, SHARES, None)
    assert (extent.trials, extent.methods, extent.seeds, extent.shares, extent.cut) == (
        8, ("good", "fair", "poor"), SEEDS, SHARES, (),
    )  # fmt: skip
    assert fit(THREE, 8, SEEDS, SHARES, extent.seconds).cut == ()


@pytest.mark.parametrize(
    ("left", "trials", "methods", "seeds", "shares"),
    [
        (300.0, 6, 3, 3, 2),
        (180.0, 2, 3, 3, 2),
        (120.0, 1, 3, 3, 0),
        (80.0, 1, 2, 3, 0),
        (60.0, 1, 2, 2, 0),
        (30.0, 1, 2, 1, 0),
        (0.0, 1, 2, 1, 0),
    ],
)
def test_trials_go_first_then_the_curve_then_methods_then_seeds(
    left: float, trials: int, methods: int, seeds: int, shares: int
) -> None:
    extent = fit(THREE, 8, SEEDS, SHARES, left)
    found = (extent.trials, len(extent.methods), len(extent.seeds), len(extent.shares))
    assert found == (trials, methods, seeds, shares)
    # Later things are only touched once all before them is at its least.
    assert len(extent.cut) == sum([trials < 8, methods < 3, seeds < 3, shares < 2]), extent.cut
    # Nothing that would have fitted was cut.
    if extent.cut and shares:
        assert seconds_of(THREE, trials + 1, seeds, SHARES, 1.3) > left


def test_the_method_that_was_worst_on_validation_rows_goes_first() -> None:
    low = (Candidate("first", 10.0, 50.0), Candidate("second", 10.0, 70.0), Candidate("third", 10.0, 60.0))
    extent = fit(low, 8, SEEDS, SHARES, 80.0)
    assert extent.methods == ("second", "third")
    assert extent.cut[2] == "2 of 3 methods (without first, lowest on validation rows)"
    # Of equals the one that is worth less.
    equal = tuple(Candidate(one.name, 10.0, 70.0) for one in low)
    assert fit(equal, 8, SEEDS, SHARES, 80.0).methods == ("first", "second")


def test_a_method_without_options_or_chance_costs_one_trial_and_one_run() -> None:
    fixed = (Candidate("zero-shot", 10.0, 50.0, tunes=False, once=True, learns=False),)
    assert seconds_of(fixed, 8, 3, SHARES, 1.0) == 10.0
    drawn = (Candidate("probe", 10.0, 50.0),)
    assert seconds_of(drawn, 8, 3, SHARES, 1.0) == pytest.approx(70 + 30 + 30 * 0.75)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30m", 1800), ("2h", 7200), ("90s", 90), ("1h30m", 5400), ("10", 600), ("0.5 h", 1800)]
)
def test_times_as_people_type_them(text: str, seconds: float) -> None:
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0m", "30x", "-5m", "m", "1h soon"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_budget(text)
    assert caught.value.hint.startswith("--budget 30m")


def test_first_trials_of_all_methods_take_half_of_the_budget_at_most() -> None:
    assert cap_of_trial(None, 8) == CAPS[0]
    for budget in (600.0, 1800.0, 7200.0):
        assert 8 * cap_of_trial(budget, 8) <= budget / 2
    assert cap_of_trial(1.0, 8) == CAPS[-1]
