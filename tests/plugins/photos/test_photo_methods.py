"""Methods on the encoders for photographs, through the conformance kit: prompts, regions, captions, trained towers.

One method of each kind goes through the whole kit, which takes minutes on encoders of this size; ``ltbench plugin check
METHOD --backbone lite0-minilm`` does the same for any other. Two more take one step and answer.
"""

from __future__ import annotations

import pytest

from ltbench.testing.bench import Bench
from ltbench.testing.checks import CHECKS
from ltbench.testing.kit import check_method
from tests.plugins.photos.photo_needs import need_library, need_weights

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("method", "weights"), [("lmpt", "released"), ("dualcoop", "random")])
def test_prompt_learners_keep_the_contract(method: str, weights: str) -> None:
    """Context vectors enter a bidirectional tower; DualCoOp pools over places."""
    need_library() if weights == "random" else need_weights()
    results = check_method(method, "lite0-minilm", weights="random" if weights == "random" else None)
    assert [r for r in results if r.status != "passed"] == []


def test_the_tower_is_trained() -> None:
    """Fine-tuning the image tower.

    Without two processes: Adam divides by the size of a gradient, and enlarges what another order of sums rounds where
    there is hardly any. On this tower that is 0.005 of the largest logit, and with SGD in Adam's place 1e-6.
    """
    results = check_method("erm", "lite0", weights="random", ranks=False)
    assert "failed" not in {result.status for result in results}, [r for r in results if r.status == "failed"]
    assert next(r for r in results if r.name == "finite loss").status == "passed"


@pytest.mark.parametrize("method", ["cocoop", "comic"])
def test_a_step_and_an_answer(method: str) -> None:
    """Prompts that see the image, and three models on one feature."""
    need_library()
    with Bench(method, "lite0-minilm", "random") as bench:
        assert CHECKS["finite loss"](bench)
