"""Whether the released weights of an encoder are on this machine, told without building it or asking a network."""

from __future__ import annotations

from ltbench.backbones.registry import find_backbone
from ltbench.plugin.errors import UserError


def weights_at_hand(name: str) -> bool:
    """Whether a run with this backbone would find its weights.

    Encoders that bring their weights along, and those of other plugins, which alone could tell, count as here.

    Raises:
        UnknownName: no such backbone, architecture or tag.
    """
    entry, argument = find_backbone(name)
    target = entry.spec.target
    if target.startswith("ltbench.backbones.openclip:"):
        from ltbench.backbones.openclip import cached_weights

        return cached_weights(argument or name) is not None
    if target.startswith("ltbench.backbones.timm_models:"):
        from ltbench.backbones.timm_models import require_cached

        try:
            require_cached(argument)
        except UserError:
            return False
    return True
