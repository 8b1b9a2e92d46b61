"""Sentences about a scene, as a person might write them: every object, some attributes, some synonyms."""

from __future__ import annotations

from typing import Final

import numpy as np

from ltbench.data.shapes.names import CLASS_NAMES, SYNONYMS
from ltbench.data.shapes.scene import Drawn, Scene

MAX_WORDS: Final = 26
"""No caption is longer; a sentence that would be is written again without attributes."""

PLAIN_TEMPLATES: Final = ("a photo of {}", "there is {}", "{}")
"""The short forms; pre-training leans on them because zero-shot prompts look like them."""

_OPENINGS: Final = (
    "a photo of {}",
    "a picture of {}",
    "an image of {}",
    "a drawing of {}",
    "a small scene with {}",
    "this image shows {}",
    "there is {}",
    "here we see {}",
    "i can see {}",
    "somebody drew {}",
    "{}",
)
_PLACES: Final = {
    "plain": "on a plain background",
    "shaded": "on a shaded background",
    "split": "in front of two colors",
    "checkered": "on a checkered floor",
    "lined": "in front of a lined wall",
}
_VOWELS: Final = "aeiou"


def caption(scene: Scene, rng: np.random.RandomState) -> str:
    """One sentence (lower case, no full stop) that names each object of ``scene`` once."""
    objects = [scene.objects[i] for i in _order(len(scene.objects), rng)]
    draws = [float(d) for d in rng.random_sample(4)]
    phrases = [_phrase(drawn, rng) for drawn in objects]
    text = _sentence(scene, objects, phrases, draws)
    if len(text.split()) > MAX_WORDS:
        bare = [_article(CLASS_NAMES[drawn.label]) for drawn in objects]
        text = _OPENINGS[0].format(_listed(bare))
    return text


def plain_caption(scene: Scene, rng: np.random.RandomState) -> str:
    """A short form with bare class names; the article is the template's own "a" half of the time ("a apple")."""
    draws = [float(d) for d in rng.random_sample(2)]
    names = [CLASS_NAMES[scene.objects[i].label] for i in _order(len(scene.objects), rng)]
    nouns = [f"a {name}" if draws[1] < 0.5 else _article(name) for name in names]
    return PLAIN_TEMPLATES[int(draws[0] * len(PLAIN_TEMPLATES))].format(_listed(nouns))


def _order(count: int, rng: np.random.RandomState) -> list[int]:
    draws = [float(d) for d in rng.random_sample(count)]
    return sorted(range(count), key=lambda i: draws[i])


def _sentence(scene: Scene, objects: list[Drawn], phrases: list[str], draws: list[float]) -> str:
    if len(objects) >= 2 and draws[0] < 0.3:
        relation = _relation(objects[0], objects[1], draws[1])
        text = f"{phrases[0]} {relation} {phrases[1]}"
        if phrases[2:]:
            text = f"{text} with {_listed(phrases[2:])}"
    else:
        text = _OPENINGS[int(draws[1] * len(_OPENINGS))].format(_listed(phrases))
    if draws[2] < 0.25:
        text = f"{text} {_PLACES[scene.background]}"
    return text


def _relation(first: Drawn, second: Drawn, draw: float) -> str:
    if draw < 0.35:
        return "next to" if draw < 0.2 else "near"
    across, down = second.x - first.x, second.y - first.y
    if abs(across) > abs(down):
        return "left of" if across > 0 else "right of"
    return "above" if down > 0 else "below"


def _phrase(drawn: Drawn, rng: np.random.RandomState) -> str:
    draws = [float(d) for d in rng.random_sample(5)]
    name = CLASS_NAMES[drawn.label]
    others = SYNONYMS.get(name, ())
    noun = others[int(draws[1] * len(others))] if others and draws[0] < 0.2 else name
    words = [noun]
    if draws[2] < 0.4:
        words.insert(0, drawn.colour)
    if drawn.style != "solid" and draws[3] < 0.5:
        words.insert(0, drawn.style)
    elif draws[4] < 0.15:
        words.insert(0, "small" if drawn.radius < 12.0 else "big")
    return _article(" ".join(words))


def _article(words: str) -> str:
    return f"an {words}" if words[0] in _VOWELS else f"a {words}"


def _listed(phrases: list[str]) -> str:
    if len(phrases) == 1:
        return phrases[0]
    return f"{', '.join(phrases[:-1])} and {phrases[-1]}"
