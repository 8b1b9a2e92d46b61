"""The prompt ensemble: a mean of features, not one long text."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from ltbench.method.config import build_config, choose_preset, load_presets
from ltbench.nn import fill, imagenet_templates
from ltbench_baselines.clip.plugin import ltbench_methods
from ltbench_baselines.clip.zero_shot import ZeroShot, ZeroShotHead

SPEC = next(spec for spec in ltbench_methods() if spec.name == "zero-shot-ensemble")


def head_of(context) -> ZeroShotHead:
    (stage,) = ZeroShot(build_config(ZeroShot.Config, SPEC.name, SPEC.config)).stages(context)
    assert isinstance(stage.module, ZeroShotHead)
    return stage.module


def test_eighty_features_are_normalised_averaged_and_normalised(make_context, backbone, full):
    context = make_context(full)
    templates = imagenet_templates()
    assert len(templates) == 80
    each = [
        normalize(backbone.text.encode([fill(template, name) for name in context.class_names]), dim=1)
        for template in templates
    ]
    expected = normalize(torch.stack(each).mean(dim=0), dim=1)
    torch.testing.assert_close(head_of(context).text, expected, rtol=1e-5, atol=1e-6)


def test_it_is_not_the_concatenation_cut_to_76_characters(make_context, backbone, full):
    """What LMPT's release encodes under the name of ensembling."""
    context = make_context(full)
    joined = [" ".join(fill(t, name) for t in imagenet_templates())[:76] for name in context.class_names]
    cosines = (head_of(context).text * normalize(backbone.text.encode(joined), dim=1)).sum(dim=1)
    assert bool((cosines < 0.999).all())


def test_names_keep_all_their_words(make_context, backbone, full):
    """LMPT's release reads "baseball" for bat and glove alike."""
    head = head_of(make_context(full))
    head.set_classes(("baseball bat", "baseball glove"))
    assert float((head.text[0] * head.text[1]).sum()) < 0.999


def test_preset_for_shapes_changes_nothing():
    preset = choose_preset(load_presets(SPEC), None, "shapes-lt", None, "tiny-clip", "paper")
    assert preset is not None
    assert build_config(ZeroShot.Config, SPEC.name, SPEC.config, preset.overrides).templates == ("openai-80",)
