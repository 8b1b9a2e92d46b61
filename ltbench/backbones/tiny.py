"""The bundled encoder."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from ltbench.backbones.clip_backbone import ClipBackbone, Facts, Preprocessing, assemble
from ltbench.backbones.options import BackboneOptions
from ltbench.backbones.tiny_clip.model import IMAGE_SIZE, MEAN, STD, build_model
from ltbench.backbones.tiny_clip.tokenizer import TinyTokenizer
from ltbench.backbones.weights import load_into, read_checkpoint, seeded

_PRETRAINING = "rendered scenes and captions disjoint from every part of shapes; saw all 20 class names"


def open_tiny_clip(name: str, options: BackboneOptions) -> ClipBackbone:
    """``tiny-clip`` with the weights of the package, random ones, or those of a file."""
    weights, pretraining = "bundled", _PRETRAINING
    if options.weights is None:
        from ltbench.backbones.tiny_clip import load_pretrained

        model, tokenizer = load_pretrained()
    else:
        path = Path(options.file) if options.file else None
        state = read_checkpoint(path) if path else None
        with seeded(options.seed):
            model, tokenizer = build_model(), TinyTokenizer()
        weights, pretraining = "random", "none: random weights"
        if state is not None and path is not None:
            load_into(model, state, name)
            weights, pretraining = f"file {path.name}", f"unknown (local file {path.name})"
    facts = Facts(
        name=name,
        dim=int(model.text_projection.shape[1]),
        weights=weights,
        pretraining=pretraining,
        library=f"open_clip-{version('open_clip_torch')}",
        licence="MIT",
    )
    preprocessing = Preprocessing(size=options.image_size or IMAGE_SIZE, mean=MEAN, std=STD)
    return assemble(model, tokenizer, preprocessing, facts, options)
