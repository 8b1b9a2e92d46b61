"""Recipes that learn prompts keep the contract on text towers that are not causal, as on the causal one.

Each tower belongs to a small model with random weights, saved the way open_clip saves one and opened by its address.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ltbench.testing.kit import check_method

from .conftest import TEXT
from .test_openclip_addresses import saved

SHORT = {**TEXT, "context_length": 40}
TOWERS: dict[str, dict[str, Any]] = {
    # What SigLIP's text towers have of their own: no causal mask, and the last place is the feature.
    "last": {**SHORT, "no_causal_mask": True, "pool_type": "last", "proj_bias": True},
    "first": {**SHORT, "no_causal_mask": True, "pool_type": "first"},
    # CoCa's: a token of its own behind the text is the feature.
    "class-token": {**SHORT, "embed_cls": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", TOWERS)
@pytest.mark.parametrize("method", ["lmpt", "dualcoop"])
def test_prompt_learners_keep_the_contract(method: str, kind: str, tmp_path: Path) -> None:
    """Learned vectors enter the tower, and DualCoOp's prompts are compared with places."""
    saved(tmp_path, TOWERS[kind])
    results = check_method(method, f"open_clip:local-dir:{tmp_path}", ranks=False)
    assert [(r.name, r.status) for r in results if r.status == "failed"] == []
    assert sum(result.status == "passed" for result in results) > 10
