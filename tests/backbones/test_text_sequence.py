"""Features after each token of a text: one pass gives what a text that ends there gives."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from ltbench.backbones.base import TextTower
from ltbench.backbones.registry import open_backbone

TEXTS = ("a photo of a star and a moon", "a key", "there is a red boat here")


def test_each_position_is_the_text_that_ends_there() -> None:
    tower = open_backbone("tiny-clip").text
    assert tower is not None
    tokens = tower.tokenize(TEXTS)
    ends = tower.end_positions(tokens)
    with torch.no_grad():
        embeddings = tower.embed_tokens(tokens)
        found = tower.encode_sequence(embeddings, ends)
        assert found.shape == (3, int(ends.max()) + 1, 128)
        torch.testing.assert_close(found[torch.arange(3), ends], tower.encode(TEXTS), rtol=1e-4, atol=1e-5)
        slow = TextTower.encode_sequence(tower, embeddings, ends)
        torch.testing.assert_close(found, slow, rtol=1e-4, atol=1e-5)
    # The first token of all texts is the same and sees nothing else; the second is not.
    first, second = normalize(found[:, 0], dim=-1), normalize(found[:, 1], dim=-1)
    torch.testing.assert_close(first[0], first[1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(second[0], second[2], atol=1e-3)
