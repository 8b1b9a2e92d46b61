"""The bundled encoder: a two-million-parameter CLIP for the images of ``shapes``; ``card.md`` says what it has seen."""

from ltbench.backbones.tiny_clip.model import IMAGE_SIZE, MEAN, STD, build_model, preprocess
from ltbench.backbones.tiny_clip.pretrain import Recipe, pretrain
from ltbench.backbones.tiny_clip.tokenizer import TinyTokenizer
from ltbench.backbones.tiny_clip.weights import WEIGHTS_FILE, WEIGHTS_SHA256, load_pretrained

__all__ = [
    "IMAGE_SIZE",
    "MEAN",
    "STD",
    "WEIGHTS_FILE",
    "WEIGHTS_SHA256",
    "Recipe",
    "TinyTokenizer",
    "build_model",
    "load_pretrained",
    "preprocess",
    "pretrain",
]
