"""Single positive labels with the engine: labels that a method keeps survive an interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ltbench.engine.phase1 import Phase1
from ltbench.method import Method
from tests.plugins import two_stream_toys as toys
from tests.plugins.single_positive.spml_toys import (
    method_of,
    single_labels,
    toy,
)
from tests.plugins.two_stream_toys import interrupted_and_not

NAMED_STATE = {"role": "label_logits", "em-apl": "soft", "ll-cp": "labels"}


def phase_of(method: Method, folder: Path) -> Phase1:
    return toys.phase_of(method, folder, toy(), single_labels(), "own")


@pytest.mark.parametrize("recipe", NAMED_STATE)
def test_an_interrupted_run_ends_with_the_same_labels(tmp_path: Path, recipe: str) -> None:
    options: dict[str, Any] = {"apl_warmup": 1} if recipe == "em-apl" else {"ll_delta": 0.05}
    method = method_of(recipe, epochs=4, batch_size=8, augment="none", **options)
    before = {name: tensor.clone() for name, tensor in phase_of(method, tmp_path).module.state_dict().items()}
    whole, second = interrupted_and_not(method, tmp_path, 2, phase_of)
    expected = whole.module.state_dict()
    for name, tensor in second.module.state_dict().items():
        assert torch.equal(tensor.nan_to_num(-1), expected[name].nan_to_num(-1)), name
    name = f"objective.{NAMED_STATE[recipe]}"
    assert not torch.equal(before[name].nan_to_num(-1), expected[name].nan_to_num(-1))
    assert second.decisions == whole.decisions
    assert bool(whole.decisions) == (recipe == "ll-cp")
