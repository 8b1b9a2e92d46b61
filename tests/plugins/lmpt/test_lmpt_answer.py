"""LMPT as people run it: what it is ranked by is the paper's softmax, in both variants, unless logits are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ltbench
from ltbench.records.logits import read_logits

SHORT: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 0.01, "loss": "bce", "reduction": "mean"}


def run(tmp_path: Path, variant: Any, **options: Any) -> tuple[dict[str, float], np.ndarray]:
    """Figures of the run, and what it handed in."""
    (done,) = ltbench.run(
        "shapes-micro", "lmpt", "tiny-clip", preset="none", variant=variant, options={**SHORT, **options}, out=tmp_path
    )
    assert done.record.status == "completed", done.record.reason
    scores = done.record.scores
    (file,) = done.folder.glob("logits.safetensors")
    return {name: scores[name]["total"] for name in ("mAP", "mAP_softmax")}, read_logits(file).logits


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["paper", "code"])
def test_a_run_is_ranked_by_the_softmax_over_classes(tmp_path: Path, variant: str) -> None:
    softmax, handed = run(tmp_path / "softmax", variant)
    logits, raw = run(tmp_path / "logits", variant, score="logits")
    assert softmax["mAP"] == pytest.approx(softmax["mAP_softmax"], abs=0.05)
    assert softmax["mAP_softmax"] == pytest.approx(logits["mAP_softmax"], abs=0.05), "the same training, the same p"
    assert softmax["mAP"] != pytest.approx(logits["mAP"], abs=0.05), "the ranked metric is another one"
    wide = raw.astype(np.float64)
    shares = wide - wide.max(axis=1, keepdims=True)
    shares -= np.log(np.exp(shares).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(handed, shares, atol=1e-4)
