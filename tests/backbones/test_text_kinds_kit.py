"""Recipes that learn prompts keep the contract on text towers that are not causal, as on the causal one.

Each tower belongs to a small model with random weights, saved the way open_clip saves one and opened by its address.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ltbench.backbones.masked_text import MaskedTextTower
from ltbench.backbones.registry import open_backbone
from ltbench.backbones.text import ClipTextTower
from ltbench.testing.kit import check_method

from .conftest import TEXT
from .test_openclip_addresses import saved

SHORT = {**TEXT, "context_length": 40}
TOWERS: dict[str, dict[str, Any]] = {
    # What SigLIP's text towers have of their own: no causal mask, and the last place is the feature.
    "last": {**SHORT, "no_causal_mask": True, "pool_type": "last", "proj_bias": True},
    "first": {**SHORT, "no_causal_mask": True, "pool_type": "first"},
    # MobileCLIP's: no causal mask either, and the feature is at the end of the text.
    "argmax": {**SHORT, "no_causal_mask": True},
    # CoCa's: a token of its own behind the text is the feature.
    "class-token": {**SHORT, "embed_cls": True},
    # The causal one of open_clip's models that keep their text tower apart.
    "causal": SHORT,
}
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def hub_folder(folder: Path) -> dict[str, Any]:
    """A text tower of transformers and a tokenizer of letters in a folder; its part of open_clip's configuration."""
    transformers = pytest.importorskip("transformers", reason="needs transformers, of the extra photos")
    folder.mkdir(parents=True)
    # "a photo of a" is four tokens, as recipes count them.
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    words = [*special, ".", ",", "photo", "of", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    config = transformers.BertConfig(vocab_size=len(words), **size)
    transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return {"hf_model_name": str(folder), "hf_pooler_type": "mean_pooler", "context_length": 40}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*TOWERS, "transformers"])
@pytest.mark.parametrize("method", ["lmpt", "dualcoop"])
def test_prompt_learners_keep_the_contract(method: str, kind: str, tmp_path: Path) -> None:
    """Learned vectors enter the tower, and DualCoOp's prompts are compared with places."""
    folder = tmp_path / "model"
    saved(folder, hub_folder(folder) if kind == "transformers" else TOWERS[kind])
    address = f"open_clip:local-dir:{folder}"
    text = open_backbone(address).text
    assert isinstance(text, MaskedTextTower) == (kind == "transformers")
    assert isinstance(text, ClipTextTower) == (kind == "causal")
    results = check_method(method, address, ranks=False)
    assert [(r.name, r.status) for r in results if r.status == "failed"] == []
    assert sum(result.status == "passed" for result in results) > 10
