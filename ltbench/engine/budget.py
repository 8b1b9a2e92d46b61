"""What fits into a time: trials are cut first, then the curve over shares of the labels, then methods, then seeds.

The question is which method, so what is not about that goes before methods do; seeds go last, because one alone says
nothing for sure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ltbench.plugin.errors import UserError

#: Caps of a trial, seconds. A few fixed ones, so that other budgets find the trials of earlier ones again.
CAPS: Final = (600.0, 300.0, 120.0, 60.0, 30.0, 10.0)
#: A run trains on the validation rows as well and judges the test images: what it takes, in trials.
RUN_IN_TRIALS: Final = 1.3
#: Methods that are left at least, so that there is something to choose from.
FEWEST: Final = 2
_UNITS: Final = {"": 60.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Candidate:
    """A method after its first trial.

    Attributes:
        seconds: that the trial took.
        score: of the trial on validation rows; None where it did not complete.
        tunes: there is something to tune.
        once: its seed changes nothing.
        learns: from labels at all.
    """

    name: str
    seconds: float
    score: float | None
    tunes: bool = True
    once: bool = False
    learns: bool = True


@dataclass(frozen=True)
class Extent:
    """How much is done.

    Attributes:
        trials: of each method that has something to tune.
        methods: names, in the order of the candidates.
        seeds: of each method.
        shares: of the labels at hand, of the best method.
        seconds: that this takes after the first trials, as far as can be told from them.
        cut: what was cut and why, one sentence each; empty where all fits.
    """

    trials: int
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    shares: tuple[float, ...]
    seconds: float
    cut: tuple[str, ...] = ()


def parse_budget(text: str) -> float:
    """``30m``, ``2h``, ``90s``, ``1h30m`` in seconds; a number alone is minutes.

    Raises:
        UserError: it is no time, or none at all.
    """
    compact = text.strip().lower().replace(" ", "")
    parts = re.findall(r"(\d+(?:\.\d+)?)([a-z]*)", compact)
    known = parts and "".join(f"{number}{unit}" for number, unit in parts) == compact
    if not known or any(unit not in _UNITS for _, unit in parts):
        raise UserError(f"--budget {text}: no time", "--budget 30m (s, m, h)")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds <= 0:
        raise UserError(f"--budget {text}: no time is left for a run", "--budget 30m")
    return seconds


def cap_of_trial(budget: float | None, methods: int) -> float:
    """Most seconds of one trial, so that the first trials of all methods take no more than half of the budget."""
    if budget is None:
        return CAPS[0]
    return next((cap for cap in CAPS if cap * methods <= budget / 2), CAPS[-1])


def seconds_of(
    candidates: Sequence[Candidate], trials: int, seeds: int, shares: Sequence[float], run_in_trials: float
) -> float:
    """What all that follows the first trials takes."""
    search = sum((trials - 1) * one.seconds for one in candidates if one.tunes)
    runs = sum(run_in_trials * one.seconds * (1 if one.once else seeds) for one in candidates)
    # Nobody knows yet which method will be the best one.
    dearest = max((one.seconds * (1 if one.once else seeds) for one in candidates if one.learns), default=0.0)
    return search + runs + run_in_trials * dearest * sum(shares)


def fit(
    candidates: Sequence[Candidate],
    trials: int,
    seeds: Sequence[int],
    shares: Sequence[float],
    left: float | None,
    run_in_trials: float = RUN_IN_TRIALS,
) -> Extent:
    """Cut what was asked for until it fits.

    Args:
        candidates: methods whose first trial completed, in order of worth.
        trials: of each method that were asked for.
        seeds: that were asked for.
        shares: that were asked for.
        left: seconds; None for as long as it takes.
        run_in_trials: what a run takes, in trials.
    """
    kept = list(candidates)
    asked, cut = trials, list[str]()

    def cost() -> float:
        return seconds_of(kept, trials, len(seeds), shares, run_in_trials)

    def over() -> bool:
        return left is not None and cost() > left

    while trials > 1 and over():
        trials -= 1
    if trials < asked:
        cut.append(f"{trials} of {asked} trials a method")
    if shares and over():
        shares = ()
        cut.append("no runs on shares of the labels")
    dropped = []
    while len(kept) > FEWEST and over():
        # The one whose first trial was worst on validation rows; of equals the one that is worth least.
        worst = min(range(len(kept)), key=lambda place: (kept[place].score or 0.0, -place))
        dropped.append(kept.pop(worst).name)
    if dropped:
        why = f"without {', '.join(dropped)}, lowest on validation rows"
        cut.append(f"{len(kept)} of {len(candidates)} methods ({why})")
    counts = len(seeds)
    while len(seeds) > 1 and over():
        seeds = seeds[:-1]
    if len(seeds) < counts:
        cut.append(f"{len(seeds)} of {counts} seeds")
    return Extent(trials, tuple(one.name for one in kept), tuple(seeds), tuple(shares), cost(), tuple(cut))
