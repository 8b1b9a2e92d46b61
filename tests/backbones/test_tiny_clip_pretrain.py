"""Pre-training of tiny-clip in miniature: seeded, disjoint from the data set, finite, and it learns."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ltbench.backbones.tiny_clip import Recipe, TinyTokenizer, build_model, pretrain
from ltbench.backbones.tiny_clip import pool as pool_module
from ltbench.backbones.tiny_clip.pool import build_pool
from ltbench.backbones.tiny_clip.pretrain import _bags
from ltbench.backbones.tiny_clip.towers import TinyClip
from ltbench.data.shapes import CLASS_NAMES, PARTS, SYNONYMS, render

TINY = Recipe(
    easy=24, standard=24, captions=3, words_steps=2, words_batch=8, contrast_steps=2, contrast_batch=8, warmup=1
)


def test_two_steps_are_deterministic_and_make_loadable_weights(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    states: list[tuple[str, int]] = []
    torch.manual_seed(1)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    first = pretrain(
        tmp_path / "new" / "a.safetensors",
        seed=3,
        recipe=TINY,
        threads=1,
        progress=lambda stage, done, total, loss: seen.append((stage, done, total)),
        watch=lambda stage, step, model: states.append((stage, step)),
    )
    torch.manual_seed(2)
    again = pretrain(tmp_path / "b.safetensors", seed=3, recipe=TINY, threads=1)
    other = pretrain(tmp_path / "c.safetensors", seed=4, recipe=TINY, threads=1)
    assert (tmp_path / "new" / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert (tmp_path / "b.safetensors").read_bytes() != (tmp_path / "c.safetensors").read_bytes()
    assert first["contrast_loss"] == again["contrast_loss"] != other["contrast_loss"]
    assert first["recipe"]["easy"] == 24
    assert first["seed"] == 3
    assert seen[-4:] == [("words", 1, 2), ("words", 2, 2), ("contrast", 1, 2), ("contrast", 2, 2)]
    assert seen[0][0] == "draw"
    assert states == [("words", 2), ("contrast", 2)]
    assert torch.get_num_threads() == threads
    state = load_file(tmp_path / "b.safetensors")
    assert {t.dtype for t in state.values() if t.is_floating_point()} == {torch.float16}
    build_model().load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_global_random_state_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(9)
    before = torch.get_rng_state()
    pretrain(tmp_path / "a.safetensors", recipe=TINY, threads=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_diverging_training_is_an_error(tmp_path: Path) -> None:
    def spoil(stage: str, step: int, model: TinyClip) -> None:
        with torch.no_grad():
            model.visual.conv1.weight.fill_(float("nan"))

    with pytest.raises(FloatingPointError, match="contrast diverged at step 1"):
        pretrain(tmp_path / "a.safetensors", recipe=TINY, threads=1, watch=spoil)
    assert not (tmp_path / "a.safetensors").exists()


def test_the_pool_is_easy_first_and_shares_no_image_with_the_data_set() -> None:
    pool = build_pool(0, easy=20, standard=40, captions=2, partial=0.0)
    assert pool.images.shape == (60, 64, 64, 3)
    assert pool.tokens.shape == (60, 2, 32)
    assert (pool.shown[:20].sum(axis=1) == 1).all()
    assert set(pool.shown[20:].sum(axis=1)) == {1, 2, 3}
    pixels = {image.tobytes() for image in pool.images}
    assert len(pixels) == 60
    assert not any(render(part, index)[0].tobytes() in pixels for part in PARTS for index in range(16))


def test_the_pool_does_not_depend_on_how_it_is_cut_and_does_on_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    one = build_pool(0, 20, 20, 1, 0.5)
    monkeypatch.setattr(pool_module, "_CHUNK", 7)
    two = build_pool(0, 20, 20, 1, 0.5)
    assert np.array_equal(one.images, two.images)
    assert np.array_equal(one.tokens, two.tokens)
    assert not np.array_equal(one.images[:20], build_pool(1, 20, 0, 1, 0.5).images)


def test_bags_hold_the_share_of_captions_with_each_word() -> None:
    pool = build_pool(0, easy=30, standard=0, captions=4, partial=0.0)
    tokenizer = TinyTokenizer()
    bags = _bags(pool, tokenizer).numpy()
    assert bags.shape == (30, len(tokenizer.words))
    for row in (0, 7, 29):
        texts = [tokenizer.decode(tokens).split() for tokens in pool.tokens[row]]
        expected = [sum(word in text for text in texts) / 4 for word in tokenizer.words]
        assert bags[row].tolist() == expected
    first = CLASS_NAMES[int(pool.shown[0].argmax())]
    assert bags[0, tokenizer.words.index(first)] >= 0.25


def test_partial_captions_leave_objects_out_and_never_add_one() -> None:
    pool, tokenizer = build_pool(0, easy=0, standard=40, captions=4, partial=0.6), TinyTokenizer()
    shorter = 0
    for tokens, shown in zip(pool.tokens, pool.shown, strict=True):
        names = {CLASS_NAMES[c] for c in np.flatnonzero(shown)}
        nouns = {noun for name in names for noun in (name, *SYNONYMS.get(name, ()))}
        others = {noun for name in CLASS_NAMES for noun in (name, *SYNONYMS.get(name, ()))} - nouns
        for text in (set(tokenizer.decode(row).split()) for row in tokens):
            assert text & nouns
            assert not text & others
            shorter += len(text & nouns) < len(names)
    assert shorter > 20
