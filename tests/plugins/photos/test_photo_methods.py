"""Methods on the encoders for photographs, through the conformance kit: prompts, regions, captions, trained towers."""

from __future__ import annotations

import pytest

from ltbench.testing.kit import check_method
from tests.plugins.photos.photo_needs import need_library, need_weights

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("weights", ["released", "random"])
@pytest.mark.parametrize("method", ["coop", "cocoop", "lmpt", "dualcoop", "tai-dpt"])
def test_prompt_learners_keep_the_contract(method: str, weights: str) -> None:
    """Context vectors enter a bidirectional tower; DualCoOp and TaI-DPT pool over places and tokens."""
    need_library() if weights == "random" else need_weights()
    results = check_method(method, "lite0-minilm", weights="random" if weights == "random" else None)
    # Of TaI-DPT's loss, as on every encoder, the kit cannot tell what an unknown label would change.
    left = {"unknown policy honoured"} if method == "tai-dpt" else set()
    assert {r.name for r in results if r.status != "passed"} == left, [r for r in results if r.status != "passed"]


@pytest.mark.parametrize(("method", "backbone"), [("erm", "lite0"), ("bbn", "lite0-minilm")])
def test_towers_are_trained(method: str, backbone: str) -> None:
    """Fine-tuning the image tower alone, and two ends of the one that is joined with texts."""
    need_library()
    results = check_method(method, backbone, weights="random")
    assert "failed" not in {result.status for result in results}, [r for r in results if r.status == "failed"]
    assert next(r for r in results if r.name == "finite loss").status == "passed"
