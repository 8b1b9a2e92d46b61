"""Losses for single positive labels on prompts: what their rows are ranked by, and that training does not see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ltbench
from ltbench.engine.request import RunRequest, resolve_method
from ltbench.nn.answers import log_softmax
from ltbench.records.logits import read_logits
from ltbench.tasks.registry import load_task
from tests.plugins.single_positive.spml_toys import SPECS, batch_of, build, method_of, single_labels, start

PROMPTS = [name for name in SPECS if name.endswith("-prompts")]
RANKED_BY_SOFTMAX = [
    ("spml-voc@splc", "clip-rn50"),
    ("spml-coco@splc", "clip-rn50"),
    ("plt-voc@mr40", "clip-rn50"),
    ("partial-voc2007@p50", "clip-rn101"),
    ("voc-lt", "clip-rn50"),
    ("photos-spml", "lite0-minilm"),
]
RANKED_BY_LOGITS = [("shapes-spml", "tiny-clip"), ("zsl-coco", "clip-rn50"), ("zsl-nus", "clip-rn50")]


@pytest.mark.parametrize("recipe", PROMPTS)
def test_the_objective_sees_logits_whatever_is_answered(recipe: str) -> None:
    labels = single_labels()
    batch = batch_of(labels, "-prompts")
    (_, raw), (_, softmax) = (build(recipe, score=score) for score in ("logits", "softmax"))
    for module in (raw, softmax):
        start(module, 0, batch)
        module.eval()
    torch.testing.assert_close(softmax.logits(batch), log_softmax(raw.logits(batch)))
    (seen,), (expected,) = softmax.loss(batch).values(), raw.loss(batch).values()
    assert torch.equal(seen, expected)
    assert not method_of(recipe, score="softmax").needs().calibrated


@pytest.mark.parametrize("recipe", PROMPTS)
def test_a_board_ranks_prompts_by_one_kind_of_answer(recipe: str) -> None:
    for boards, score in ((RANKED_BY_SOFTMAX, "softmax"), (RANKED_BY_LOGITS, "logits")):
        for task, backbone in boards:
            found = resolve_method(RunRequest(load_task(task), recipe, backbone))
            assert found.preset is not None, task
            assert found.config.score == score, task  # type: ignore[attr-defined]


def test_logits_are_not_stated_so_that_earlier_runs_keep_their_key() -> None:
    assert "score" not in method_of("an-prompts").config.model_dump()
    assert method_of("an-prompts", score="softmax").config.model_dump()["score"] == "softmax"


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["an-prompts", "ll-ct-prompts"])
def test_a_run_answers_what_it_is_asked_for(tmp_path: Path, recipe: str) -> None:
    short: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 0.01}
    found = {}
    for score in ("logits", "softmax"):
        (done,) = ltbench.run(
            "shapes-micro", recipe, "tiny-clip", preset="none", options={**short, "score": score}, out=tmp_path / score
        )
        assert done.record.status == "completed", done.record.reason
        (file,) = done.folder.glob("logits.safetensors")
        found[score] = (done.record.scores, read_logits(file).logits)
    expected = log_softmax(torch.from_numpy(found["logits"][1].astype(np.float32)))
    np.testing.assert_allclose(found["softmax"][1], expected.numpy(), atol=1e-2)
    assert found["softmax"][0]["mAP"] == found["softmax"][0]["mAP_softmax"]
    assert found["softmax"][0]["mAP"]["total"] != found["logits"][0]["mAP"]["total"]
