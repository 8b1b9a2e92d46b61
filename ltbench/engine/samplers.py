"""Which configurations a search tries: at random, or where optuna expects more.

Both give the same configurations whatever process asks, and however many trials run at a time: random draws depend on
the number of a trial alone, and optuna's on the results of the blocks before it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Protocol

import numpy as np

from ltbench.engine.seeds import seed_for
from ltbench.engine.trials import Trial
from ltbench.method import Choice
from ltbench.method.search import Mixed, SearchSpace, Uniform, draw
from ltbench.plugin.errors import UserError

Sampler = Literal["random", "optuna"]
SAMPLERS: Final[tuple[Sampler, ...]] = ("random", "optuna")

#: Trials that optuna draws together, from the results of those before; so many can run at a time.
BLOCK: Final = 4


class Draws(Protocol):
    """What the trials of a search change against its base.

    Attributes:
        block: trials that depend on nothing among themselves: from one multiple of it, after trial 0, to the next;
            None where no trial depends on another.
    """

    block: int | None

    def overrides(self, number: int, done: Mapping[int, Trial]) -> dict[str, Any]:
        """What a trial changes.

        Args:
            number: from 1 on; trial 0 changes nothing.
            done: trials of the blocks before it, at least.
        """
        ...


class RandomDraws:
    """Each trial's own draw."""

    block: int | None = None

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._space = space
        self._seed = seed

    def overrides(self, number: int, done: Mapping[int, Trial]) -> dict[str, Any]:
        """By its number alone."""
        return draw(self._space, np.random.default_rng(seed_for(self._seed, "trial", number)))


class OptunaDraws:
    """A block of trials by optuna's tree-structured Parzen estimator, from all blocks before.

    Source: Bergstra et al., "Algorithms for Hyper-Parameter Optimization", 2011; Akiba et al., "Optuna", 2019.
    """

    block: int | None = BLOCK

    def __init__(self, space: SearchSpace, seed: int) -> None:
        try:
            import optuna  # noqa: F401
        except ImportError as error:
            why = "the sampler optuna needs optuna, which is not installed"
            raise UserError(why, "pip install 'ltbench[optuna]', or --sampler random") from error
        self._space = space
        self._seed = seed

    def overrides(self, number: int, done: Mapping[int, Trial]) -> dict[str, Any]:
        """The trial's place in its block, which is drawn as a whole."""
        first = 1 + (number - 1) // BLOCK * BLOCK
        known = [done[each] for each in range(first)]
        return self._block(first, known)[number - first]

    def _block(self, first: int, known: Sequence[Trial]) -> list[dict[str, Any]]:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            # Liar and multivariate are marked as experimental by optuna.
            warnings.simplefilter("ignore")
            sampler = optuna.samplers.TPESampler(
                seed=seed_for(self._seed, "optuna", first) % 2**32, constant_liar=True, n_startup_trials=BLOCK
            )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        kinds = {name: kind for field, what in self._space.items() for name, kind in _kinds(field, what).items()}
        for trial in known:
            if trial.score is None or not trial.overrides:
                # Trial 0 has no place in the space; one that diverged has no value.
                continue
            values = {name: value for field, what in self._space.items()
                      for name, value in _told(field, what, trial.overrides[field]).items()}  # fmt: skip
            study.add_trial(
                optuna.trial.create_trial(
                    params=values, distributions={name: kinds[name] for name in values}, value=trial.score
                )
            )
        drawn = []
        for _ in range(BLOCK):
            asked = study.ask()
            drawn.append({field: _asked(field, what, asked) for field, what in self._space.items()})
        return drawn


def _kinds(field: str, what: Choice | Uniform | Mixed) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(what, Choice):
        # By their places, since values may be lists.
        return {field: CategoricalDistribution(tuple(range(len(what.values))))}
    if isinstance(what, Mixed):
        return {f"{field}?": CategoricalDistribution((0, 1)), **_kinds(field, what.rest)}
    return {field: FloatDistribution(what.low, what.high, log=what.log)}


def _told(field: str, what: Choice | Uniform | Mixed, value: Any) -> dict[str, Any]:
    """A value as optuna has it."""
    if isinstance(what, Choice):
        return {field: next(place for place, each in enumerate(what.values) if _plain(each) == _plain(value))}
    if isinstance(what, Mixed):
        return {f"{field}?": 0} if value == what.value else {f"{field}?": 1, **_told(field, what.rest, value)}
    # It was rounded, at the bounds to beyond them.
    return {field: min(max(float(value), what.low), what.high)}


def _asked(field: str, what: Choice | Uniform | Mixed, trial: Any) -> Any:
    if isinstance(what, Choice):
        return what.values[trial.suggest_categorical(field, tuple(range(len(what.values))))]
    if isinstance(what, Mixed):
        return _asked(field, what.rest, trial) if trial.suggest_categorical(f"{field}?", (0, 1)) else what.value
    return float(f"{trial.suggest_float(field, what.low, what.high, log=what.log):.3g}")


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    return list(value) if isinstance(value, tuple) else value


def draws_of(sampler: Sampler, space: SearchSpace, seed: int) -> Draws:
    """What a search tries.

    Raises:
        UserError: optuna is not installed.
    """
    return OptunaDraws(space, seed) if sampler == "optuna" else RandomDraws(space, seed)
