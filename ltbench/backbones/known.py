"""Released weights of the backbones that presets and tasks name, so that no library need be asked. Imports no torch."""

from __future__ import annotations

from ltbench.backbones.released import Released, hub_files, web_file

_OPENAI = "https://openaipublic.azureedge.net/clip/models"

# The addresses of OpenAI's table (clip/clip.py of github.com/openai/CLIP), whose last folder is the file's sha256.
# open_clip's table has the same ones, and the hub's copies. Bytes are rounded.
_CLIPS = {
    "clip-rn50": (
        "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762/RN50.pt",
        "timm/resnet50_clip.openai",
        256_000_000,
    ),
    "clip-rn101": (
        "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599/RN101.pt",
        "timm/resnet101_clip.openai",
        292_000_000,
    ),
    "clip-vit-b16": (
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f/ViT-B-16.pt",
        "timm/vit_base_patch16_clip_224.openai",
        351_000_000,
    ),
    "clip-vit-b32": (
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",
        "timm/vit_base_patch32_clip_224.openai",
        354_000_000,
    ),
}
# Those that presets and tasks name, so that timm need not be asked for them: bytes are four times the parameters.
_TIMM = {"resnet50.tv_in1k": 102_000_000, "resnet101.tv_in1k": 178_000_000}
_TIMM_SIZE = 224


def released_clip(backbone: str) -> Released:
    """OpenAI's files: their own addresses, which say the sha256, then the hub's copies."""
    path, repository, size = _CLIPS[backbone]
    own = web_file(f"{_OPENAI}/{path}", "MIT")
    return Released(backbone, (own, *hub_files(f"{repository}/", "open_clip_model.safetensors")), size)


def released_timm(backbone: str) -> Released | None:
    """A model of timm; timm itself is asked, unless it is one that presets name."""
    name = backbone.partition(":")[2]
    if name in _TIMM:
        return Released(backbone, hub_files(f"timm/{name}/", "model.safetensors"), _TIMM[name])
    from ltbench.backbones.timm_models import released

    return released(backbone, name)


def size_of_timm(backbone: str) -> int | None:
    """Side of the images of a model of timm; timm itself is asked, unless it is one that presets name."""
    name = backbone.partition(":")[2]
    if name in _TIMM:
        return _TIMM_SIZE
    from ltbench.backbones.timm_models import own_size

    return own_size(name)
