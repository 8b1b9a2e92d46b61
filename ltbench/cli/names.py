"""Names are checked before anything heavy is imported."""

from __future__ import annotations


def check_names(method: str, backbone: str) -> None:
    """Refuse unknown names.

    Raises:
        UnknownName: the nearest names are suggested.
    """
    from ltbench.backbones.registry import find_backbone
    from ltbench.plugin.manager import registry

    registry().methods.get(method)
    find_backbone(backbone)
