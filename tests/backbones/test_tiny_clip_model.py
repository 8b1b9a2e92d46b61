"""tiny-clip: tokenizer, architecture, bundled weights."""

import hashlib
from importlib.resources import files

import numpy as np
import pytest
import torch
from open_clip.model import CLIP
from PIL import Image
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.nn import functional

from ltbench.backbones import tiny_clip
from ltbench.backbones.clip_backbone import Preprocessing
from ltbench.backbones.tiny import TinyPreprocessing
from ltbench.backbones.tiny_clip import TinyTokenizer, build_model, load_pretrained, preprocess, weights
from ltbench.backbones.tiny_clip.model import MEAN, STD
from ltbench.backbones.tiny_clip.pretrain import encode_text
from ltbench.backbones.tiny_clip.towers import TinyClip
from ltbench.backbones.weights import state_sha256
from ltbench.data.shapes import CLASS_NAMES, SYNONYMS, render
from ltbench.data.shapes.canvas import generator, shuffled
from ltbench.data.shapes.captions import caption, plain_caption
from ltbench.data.shapes.scene import draw_scene
from ltbench.plugin.errors import UserError


@pytest.fixture(scope="module")
def pretrained() -> tuple[TinyClip, TinyTokenizer]:
    return load_pretrained()


def test_tokens_of_a_text() -> None:
    tokenizer = TinyTokenizer()
    tokens = tokenizer(["A photo of an Apple, and a tree.", ""])
    assert tokens.dtype == torch.int64
    assert tokens.shape == (2, 32)
    assert tokenizer.decode(tokens[0].tolist()) == "a photo of an apple , and a tree ."
    assert tokens[0, 0] == tokens[1, 0] == tokenizer.sot_token_id
    assert tokens[0].argmax() == 11
    assert tokens[1].tolist() == [tokenizer.sot_token_id, tokenizer.eot_token_id] + [0] * 30
    assert tokenizer.eot_token_id == tokenizer.vocab_size - 1 == int(tokens.max())
    assert torch.equal(tokenizer("a tree"), tokenizer(["a tree"]))


def test_a_long_text_keeps_its_end_token() -> None:
    tokenizer = TinyTokenizer()
    tokens = tokenizer(["tree " * 50], context_length=8)
    assert tokens.shape == (1, 8)
    assert tokens[0, -1] == tokenizer.eot_token_id
    assert tokens[0].argmax() == 7


def test_unknown_words_are_spelled_and_named() -> None:
    tokenizer = TinyTokenizer()
    assert tokenizer.unknown_words("a photo of a zebra near a Tree and a zebra") == ("zebra",)
    assert tokenizer.unknown_words("a photo of an umbrella.") == ()
    assert tokenizer.decode(tokenizer.encode("zoo 7")) == "<z> <o> <o> <7>"
    assert tokenizer.decode(tokenizer.encode("é")) == "<unk>"
    assert tokenizer.encode("cat") != tokenizer.encode("dog")


def test_every_caption_fits_and_every_word_of_it_is_known() -> None:
    tokenizer = TinyTokenizer()
    for index in range(120):
        rng = generator("vocabulary", index)
        scene = draw_scene(shuffled(list(range(20)), rng)[: 1 + index % 4], rng)
        for text in [plain_caption(scene, rng)] + [caption(scene, rng) for _ in range(10)]:
            assert tokenizer.unknown_words(text) == ()
            assert len(tokenizer.encode(text + ".")) <= 30
    nouns = [noun for name in CLASS_NAMES for noun in (name, *SYNONYMS.get(name, ()))]
    assert set(nouns) <= set(tokenizer.words)


def open_clips(seed: int) -> CLIP:
    """tiny-clip as open_clip builds it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = CLIP(
            embed_dim=128,
            # It sizes the pool's positions by image_size // 32.
            vision_cfg={"layers": [1, 1, 1, 1], "width": 16, "image_size": 128},
            text_cfg={
                "context_length": 32,
                "vocab_size": TinyTokenizer().vocab_size,
                "width": 128,
                "heads": 4,
                "layers": 3,
            },
        )
    for stage in (model.visual.layer1, model.visual.layer2, model.visual.layer3, model.visual.layer4):
        nn.init.constant_(stage[0].bn3.weight, 0.7)
    last = model.visual.layer4[0]
    last.avgpool, last.downsample[0] = nn.Identity(), nn.Identity()
    return model


def ours(seed: int) -> TinyClip:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_model()


def test_the_towers_start_as_open_clips_do() -> None:
    one, other = ours(4), open_clips(4)
    assert list(one.state_dict()) == list(other.state_dict())
    assert [name for name, _ in one.named_parameters()] == [name for name, _ in other.named_parameters()]
    assert state_sha256(one) == state_sha256(other) != state_sha256(ours(5))


@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_the_towers_compute_what_open_clips_do_to_the_bit(training: bool, half: bool) -> None:
    tokens = TinyTokenizer()([f"a photo of a {name}." for name in CLASS_NAMES])
    images = torch.randn(5, 3, 64, 64, generator=torch.Generator().manual_seed(1))

    def computed(model: CLIP | TinyClip) -> list[Tensor]:
        model.train(training)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            features = [model.encode_image(images), model.encode_text(tokens), encode_text(model, tokens)]
        torch.stack([each.float().square().sum() for each in features]).sum().backward()
        found = [*features, *(p.grad for p in model.parameters() if p.grad is not None), *model.buffers()]
        with torch.no_grad():
            return [*found, model.encode_image(images, normalize=True), model.encode_text(tokens, normalize=True)]

    one, other = computed(ours(2)), computed(open_clips(2))
    assert len(one) == len(other) > 100
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_the_image_tower_has_a_grid_of_four_by_four() -> None:
    model = build_model().eval()
    assert sum(p.numel() for p in model.parameters()) < 2_100_000
    seen: list[torch.Size] = []
    handle = model.visual.attnpool.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape))
    with torch.no_grad():
        out = model.visual(torch.zeros(2, 3, 64, 64))
    handle.remove()
    assert seen == [(2, 512, 4, 4)]
    assert out.shape == (2, 128)


def test_the_shortened_text_tower_gives_the_full_towers_features(pretrained: tuple[TinyClip, TinyTokenizer]) -> None:
    model, tokenizer = pretrained
    tokens = tokenizer([f"a photo of a {name}." for name in CLASS_NAMES] + ["a zebra and a tree near a car"])
    with torch.no_grad():
        full, short = (
            model.encode_text(tokens, normalize=True),
            functional.normalize(encode_text(model, tokens), dim=-1),
        )
    assert torch.allclose(full, short, atol=2e-6)


def test_bundled_weights_are_small_and_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    data = files("ltbench.backbones.tiny_clip").joinpath(tiny_clip.WEIGHTS_FILE).read_bytes()
    assert len(data) <= 5_000_000
    assert hashlib.sha256(data).hexdigest() == tiny_clip.WEIGHTS_SHA256
    monkeypatch.setattr(weights, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(UserError, match="damaged"):
        load_pretrained()


def test_loading_leaves_random_state_alone(pretrained: tuple[TinyClip, TinyTokenizer]) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    model, _ = load_pretrained()
    assert torch.equal(torch.get_rng_state(), before)
    assert not model.training
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), pretrained[0].parameters(), strict=True))


def test_preprocessing_is_the_stated_one() -> None:
    images = torch.tensor([[[[0, 255, 51]]]], dtype=torch.uint8).expand(1, 64, 64, 3)
    out = preprocess(images)
    assert out.shape == (1, 3, 64, 64)
    assert out[0, :, 0, 0].tolist() == pytest.approx([-2.0, 2.0, -1.2])


@pytest.mark.parametrize(
    ("width", "height", "mode"),
    [
        (64, 64, "RGB"),
        (80, 80, "RGB"),
        (97, 64, "RGB"),
        (64, 131, "RGB"),
        (211, 90, "RGB"),
        (40, 33, "L"),
        (67, 300, "L"),
    ],
)
@pytest.mark.parametrize("side", [64, 96])
def test_the_transform_is_open_clips_to_the_bit(width: int, height: int, mode: str, side: int) -> None:
    planes = (height, width, 3) if mode == "RGB" else (height, width)
    image = Image.fromarray(np.random.default_rng(width).integers(0, 256, planes, dtype=np.uint8), mode)
    ours, open_clips = TinyPreprocessing(side, MEAN, STD), Preprocessing(side, MEAN, STD)
    assert torch.equal(ours.transform(image), open_clips.transform(image))
    assert ours.words() == open_clips.words()


def test_zero_shot_tells_the_classes_of_validation_images(pretrained: tuple[TinyClip, TinyTokenizer]) -> None:
    model, tokenizer = pretrained
    rows = [render("val", index) for index in range(120)]
    images = torch.from_numpy(np.stack([image for image, _, _ in rows]))
    labels = np.stack([label for _, label, _ in rows]) == 1
    with torch.no_grad():
        texts = model.encode_text(tokenizer([f"a photo of a {name}" for name in CLASS_NAMES]), normalize=True)
        scores = (functional.normalize(model.visual(preprocess(images)), dim=-1) @ texts.T).numpy()
    chance = labels.mean()
    score = np.mean([average_precision_score(labels[:, c], scores[:, c]) for c in range(20)])
    assert score > chance + 0.3
