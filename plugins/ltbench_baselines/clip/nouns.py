"""Which classes a sentence names: labels without images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

_WORDS: Final = re.compile(r"[a-z0-9]+")
_LONGEST: Final = 4

SYNONYMS: Final[dict[str, tuple[str, ...]]] = {
    # VOC and COCO
    "person": (
        *("people", "man", "men", "woman", "women", "boy", "girl", "child", "children", "kid", "baby", "lady", "guy"),
        *("gentleman", "gentlemen", "player", "skier", "surfer", "skateboarder", "rider", "human"),
    ),
    "aeroplane": ("airplane", "plane", "jet", "aircraft"),
    "airplane": ("aeroplane", "plane", "jet", "aircraft"),
    "bicycle": ("bike",),
    "motorbike": ("motorcycle", "moped"),
    "motorcycle": ("motorbike", "moped"),
    "car": ("automobile", "taxi", "cab", "suv"),
    "boat": ("ship", "sailboat", "canoe", "kayak"),
    "cat": ("kitten",),
    "dog": ("puppy", "puppies"),
    "horse": ("pony", "ponies"),
    "cow": ("cattle", "calf", "calves", "bull"),
    "sheep": ("lamb",),
    "sofa": ("couch",),
    "couch": ("sofa",),
    "diningtable": ("table",),
    "dining table": ("table",),
    "pottedplant": ("house plant", "plant"),
    "potted plant": ("house plant", "plant"),
    "tvmonitor": ("tv", "television", "monitor", "screen"),
    "tv": ("television", "tv monitor"),
    "cell phone": ("phone", "smartphone"),
    "refrigerator": ("fridge",),
    "cup": ("mug",),
    "wine glass": ("wineglass",),
    "knife": ("knives",),
    "mouse": ("computer mouse",),
    "scissors": ("scissor",),
    "sports ball": ("ball", "soccer ball", "tennis ball", "baseball", "basketball", "football"),
    "skis": ("ski",),
    "hair drier": ("hair dryer", "blow dryer"),
    "donut": ("doughnut",),
    "backpack": ("rucksack",),
    "handbag": ("purse",),
    "suitcase": ("luggage",),
    "laptop": ("notebook computer",),
    "remote": ("remote control", "controller"),
    "microwave": ("microwave oven",),
    "oven": ("stove",),
    # shapes
    "arrow": ("pointer",),
    "flower": ("blossom",),
    "gear": ("cog",),
    "hammer": ("mallet",),
    "lightning": ("bolt",),
    "moon": ("crescent",),
    "mushroom": ("toadstool",),
    "rocket": ("spaceship",),
    "tree": ("pine",),
    "umbrella": ("parasol",),
}
"""Other nouns that captions use for a class, in words of our own choice; plurals are added by rule."""


class NounMatcher:
    """Finds class names in sentences.

    A name is found as a whole word or sequence of words, in any case, in its regular plural too, and whether its parts
    stand apart or not ("dining table", "diningtable"). The longest name at a place wins and its words are used up, so
    that "hot dog" names no dog. A class's own name goes before another's synonym.

    Args:
        class_names: the C classes, in the order of the labels.
        synonyms: further nouns of a class, by its name in lower case with blanks.
    """

    def __init__(self, class_names: Sequence[str], synonyms: Mapping[str, Sequence[str]] = SYNONYMS) -> None:
        self._classes: dict[str, tuple[int, ...]] = {}
        plain = [name.lower().replace("_", " ") for name in class_names]
        for index, name in enumerate(plain):
            for form in _forms(name):
                self._classes[form] = (*self._classes.get(form, ()), index)
        own = set(self._classes)
        for index, name in enumerate(plain):
            for noun in synonyms.get(name, ()):
                for form in _forms(noun) - own:
                    self._classes[form] = (*self._classes.get(form, ()), index)

    def __call__(self, sentence: str) -> set[int]:
        """Columns of the classes that the sentence names."""
        words = _WORDS.findall(sentence.lower())
        found: set[int] = set()
        at = 0
        while at < len(words):
            for count in range(min(_LONGEST, len(words) - at), 0, -1):
                classes = self._classes.get("".join(words[at : at + count]))
                if classes is not None:
                    found.update(classes)
                    at += count
                    break
            else:
                at += 1
        return found


def _forms(noun: str) -> set[str]:
    """Singular and plural, words run together."""
    joined = "".join(_WORDS.findall(noun.lower()))
    if not joined:
        return set()
    forms = {joined, joined + "s"}
    if joined.endswith(("s", "x", "z", "ch", "sh")):
        forms.add(joined + "es")
    if joined.endswith("y") and joined[-2:-1] not in tuple("aeiou"):
        forms.add(joined[:-1] + "ies")
    return forms
