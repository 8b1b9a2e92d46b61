"""The 312 attributes of CUB-200-2011, their short names and their 20 groups (body parts), as facts.

The data set names an attribute by kind and value (``has_bill_shape::curved_(up_or_down)``). HSPNet's label files
(jameslahm/HSPNet@d3467c9, ``cub_labels.txt``, ``cub_super_labels*``) name it by value and body part (``curved bill``);
those short names are the class names here, since they are what a text tower is asked about.
"""

from __future__ import annotations

_EYE = "blue brown purple rufous grey yellow olive green pink orange black white red buff"
_COLOURS = _EYE.replace("brown", "brown iridescent")
_PATTERNS = "solid spotted striped multi-colored"
_BILL = "curved_(up_or_down) dagger hooked needle hooked_seabird spatulate all-purpose cone specialized"
_TAIL = "forked_tail rounded_tail notched_tail fan-shaped_tail pointed_tail squared_tail"
_HEAD = "spotted malar crested masked unique_pattern eyebrow eyering plain eyeline striped capped"
_WING = "rounded-wings pointed-wings broad-wings tapered-wings long-wings"
_LENGTH = "about_the_same_as_head longer_than_head shorter_than_head"
_SIZE = "large_(16_-_32_in) small_(5_-_9_in) very_large_(32_-_72_in) medium_(9_-_16_in) very_small_(3_-_5_in)"
_SHAPE = (
    "upright-perching_water-like chicken-like-marsh long-legged-like duck-like owl-like gull-like hummingbird-like "
    "pigeon-like tree-clinging-like hawk-like sandpiper-like upland-ground-like swallow-like perching-like"
)

#: Kind of attribute, body part, values: 28 blocks in the order of ``attributes.txt``.
_BLOCKS: tuple[tuple[str, str, str], ...] = (
    ("bill_shape", "bill", _BILL),
    ("wing_color", "wing", _COLOURS),
    ("upperparts_color", "upperparts", _COLOURS),
    ("underparts_color", "underparts", _COLOURS),
    ("breast_pattern", "breast", _PATTERNS),
    ("back_color", "back", _COLOURS),
    ("tail_shape", "tail", _TAIL),
    ("upper_tail_color", "upper", _COLOURS),
    ("head_pattern", "head", _HEAD),
    ("breast_color", "breast", _COLOURS),
    ("throat_color", "throat", _COLOURS),
    ("eye_color", "eye", _EYE),
    ("bill_length", "bill", _LENGTH),
    ("forehead_color", "forehead", _COLOURS),
    ("under_tail_color", "under", _COLOURS),
    ("nape_color", "nape", _COLOURS),
    ("belly_color", "belly", _COLOURS),
    ("wing_shape", "wing", _WING),
    ("size", "size", _SIZE),
    ("shape", "shape", _SHAPE),
    ("back_pattern", "back", _PATTERNS),
    ("tail_pattern", "tail", _PATTERNS),
    ("belly_pattern", "belly", _PATTERNS),
    ("primary_color", "primary", _COLOURS),
    ("leg_color", "leg", _COLOURS),
    ("bill_color", "bill", _COLOURS),
    ("crown_color", "crown", _COLOURS),
    ("wing_pattern", "wing", _PATTERNS),
)


def _short(value: str, part: str) -> str:
    """``very_large_(32_-_72_in)``, ``size`` → ``very_large size``."""
    # The one value that HSPNet spells with a hyphen where the data set has an underscore.
    value = "upright-perching-water-like" if value == "upright-perching_water-like" else value
    return f"{value.partition('_(')[0]} {part}"


#: Names as in ``attributes.txt``, in its order.
CUB_ATTRIBUTES: tuple[str, ...] = tuple(f"has_{kind}::{v}" for kind, _, values in _BLOCKS for v in values.split())

#: Class names, same order.
CUB_CLASSES: tuple[str, ...] = tuple(_short(v, part) for _, part, values in _BLOCKS for v in values.split())

_GROUP_ORDER = (
    *("throat", "breast", "crown", "head", "forehead", "primary", "back", "shape", "belly", "bill"),
    *("nape", "underparts", "upperparts", "wing", "under", "upper", "leg", "tail", "size", "eye"),
)

#: HSPNet's 20 groups in the order of its file.
CUB_GROUPS: dict[str, tuple[str, ...]] = {
    group: tuple(_short(v, part) for _, part, values in _BLOCKS if part == group for v in values.split())
    for group in _GROUP_ORDER
}
