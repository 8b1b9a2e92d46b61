"""Every official method: two processes learn what one learns, or its card says why one process trains.

``ltbench plugin check METHOD`` makes the same comparison. All of them take ten minutes, so that the suite has a few;
``pytest --campaign tests/plugins/test_ranks.py`` has all.
"""

from __future__ import annotations

import multiprocessing
from importlib import resources

import pytest

import ltbench
from ltbench.plugin import UserError
from ltbench.plugin.manager import registry
from ltbench.testing.bench import Bench
from ltbench.testing.outcomes import Skipped, SkipReason
from ltbench.testing.two_ranks import two_ranks_as_one

pytestmark = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork processes"
)

FEW = ("plt-pseudo-labels", "dr")
"""One that deals its rows and one that does not."""


def compare(name: str) -> str:
    with Bench(name, weights="random") as bench:
        try:
            bench.check_fit(bench.task)
        except UserError as error:
            pytest.skip(error.message)
        try:
            return two_ranks_as_one(bench)
        except Skipped as skipped:
            if skipped.reason is not SkipReason.WHOLE_BATCHES:
                return str(skipped)
    spec = registry().methods.get(name).spec
    assert spec.card is not None
    card = resources.files(spec.package).joinpath(spec.card).read_text(encoding="utf-8")
    _, told, reason = card.partition("**Several processes.**")
    assert told, f"the card of {name} does not say why one process trains it"
    assert "parallel=none" in reason.split("\n\n")[0] or "but for" in " ".join(reason.split("\n\n")[0].split())
    return f"one process: {reason.split('.')[0].strip()}"


@pytest.mark.parametrize("name", FEW)
def test_a_few_methods(name: str) -> None:
    assert compare(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ltbench.methods() if name not in FEW])
def test_all_methods(name: str, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--campaign"):
        pytest.skip("takes ten minutes for all methods: pytest --campaign")
    assert compare(name)
