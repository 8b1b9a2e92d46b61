"""The renderer: the same bytes everywhere, objects that can be seen, and captions that say what is there."""

import ast
import hashlib
from pathlib import Path

import numpy as np
import pytest

import ltbench.data.shapes as shapes
from ltbench.data.shapes import fields, figures, scene
from ltbench.data.shapes.canvas import generator, shuffled
from ltbench.data.shapes.captions import MAX_WORDS, PLAIN_TEMPLATES, caption, plain_caption
from ltbench.data.shapes.names import CLASS_NAMES, SYNONYMS
from ltbench.data.shapes.parts import compose
from ltbench.data.shapes.parts import scene as scene_of

FIRST_IMAGES = "23ffeb15bc4007a865deba4bfad28736c61f8f0439d23734af792511d23c65eb"
FIELDS = "5870dcbc002d4a6a58f03d3934832106c8b7a045add9374a98188c979cbef91c"


def test_rendered_bytes_are_pinned() -> None:
    digest = hashlib.sha256()
    for part in shapes.PARTS:
        for index in range(8):
            image, labels, text = shapes.render(part, index)
            assert image.dtype == np.uint8
            assert image.shape == (64, 64, 3)
            assert labels.dtype == np.int8
            assert labels.shape == (20,)
            digest.update(image.tobytes() + labels.tobytes() + text.encode())
    assert digest.hexdigest() == FIRST_IMAGES


def test_fields_of_all_figures_are_pinned_and_distinct() -> None:
    digest = hashlib.sha256()
    seen = set()
    for label in range(len(CLASS_NAMES)):
        for variant in range(figures.VARIANTS):
            field = figures.figure(label, variant)
            assert field[0, 0] > 0
            assert (field < 0).mean() > 0.05
            digest.update((field * 4096).astype("<i8").tobytes())
            seen.add(field.tobytes())
    assert len(seen) == len(CLASS_NAMES) * figures.VARIANTS
    assert digest.hexdigest() == FIELDS


def test_renderer_calls_nothing_that_platforms_compute_differently() -> None:
    allowed = {
        *("abs", "arange", "ascontiguousarray", "broadcast_to", "empty", "float64", "floor", "frombuffer", "full"),
        *("int64", "int8", "maximum", "minimum", "random", "sqrt", "uint32", "uint8", "where", "zeros"),
    }
    folder = Path(shapes.__file__).parent
    for name in ("fields.py", "figures.py", "canvas.py", "scene.py", "captions.py", "parts.py"):
        tree = ast.parse((folder / name).read_text(encoding="utf-8"))
        used = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "np"
        }
        assert used <= allowed, f"{name} uses np.{', np.'.join(sorted(used - allowed))}"
        assert not any(isinstance(node, ast.Pow) for node in ast.walk(tree)), f"{name} raises to a power"


def test_images_are_independent_of_what_was_rendered_before() -> None:
    alone = shapes.render("test", 7)
    shapes.render("val", 3)
    again = shapes.render("test", 7)
    assert np.array_equal(alone[0], again[0])
    assert alone[2] == again[2]
    assert not np.array_equal(alone[0], shapes.render("val", 7)[0])


def test_every_labelled_object_is_visible_and_no_other_is_drawn() -> None:
    for part in ("train-uniform", "test", "micro-train"):
        for index in range(32):
            drawn, _ = scene_of(part, index)
            assert tuple(sorted(d.label for d in drawn.objects)) == compose(part)[index]
            assert all(d.visible >= scene.MIN_VISIBLE for d in drawn.objects)
            assert all(0 <= d.x < 64 and 0 <= d.y < 64 and d.radius >= 7 for d in drawn.objects)


def test_objects_change_the_pixels_where_they_are() -> None:
    for label in range(len(CLASS_NAMES)):
        empty = scene.draw_scene([], generator("unit", label))
        drawn = scene.draw_scene([label], generator("unit", label))
        assert np.abs(empty.image.astype(int) - drawn.image.astype(int)).sum() > 0
        assert len(drawn.objects) == 1
        assert drawn.objects[0].label == label


def test_scenes_without_room_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene, "MIN_VISIBLE", 1.1)
    with pytest.raises(RuntimeError, match="no room for 2 objects"):
        scene.draw_scene([0, 1], generator("crowd"))


def _mentions(text: str, label: int) -> bool:
    name = CLASS_NAMES[label]
    words = set(text.replace(",", " ").split())
    return bool(words & {name, *SYNONYMS.get(name, ())})


def test_captions_name_exactly_the_objects_shown() -> None:
    for index in range(100):
        rng = generator("captions", index)
        labels = shuffled(list(range(20)), rng)[: 1 + index % 4]
        drawn = scene.draw_scene(labels, rng)
        for text in (caption(drawn, rng), plain_caption(drawn, rng)):
            assert [label for label in range(20) if _mentions(text, label)] == sorted(labels), text
            assert len(text.split()) <= MAX_WORDS


def test_no_word_names_two_classes() -> None:
    nouns = [noun for name in CLASS_NAMES for noun in (name, *SYNONYMS.get(name, ()))]
    assert len(set(nouns)) == len(nouns)
    assert set(SYNONYMS) <= set(CLASS_NAMES)


def test_plain_captions_include_the_forms_of_zero_shot_prompts() -> None:
    texts = set()
    for index in range(60):
        rng = generator("plain", index)
        texts.add(plain_caption(scene.draw_scene([CLASS_NAMES.index("apple")], rng), rng))
    for template in PLAIN_TEMPLATES:
        assert template.format("a apple") in texts
        assert template.format("an apple") in texts


def test_angles_outside_the_table_are_an_error() -> None:
    assert fields.unit(90) == (0.0, 1.0)
    assert fields.unit(-90) == (0.0, -1.0)
    assert fields.unit(180) == (-1.0, 0.0)
    for degrees in range(0, 360, 18):
        cosine, sine = fields.unit(degrees)
        assert cosine == pytest.approx(np.cos(np.radians(degrees)), abs=1e-4)
        assert sine == pytest.approx(np.sin(np.radians(degrees)), abs=1e-4)
    with pytest.raises(KeyError):
        fields.unit(7)


def test_primitives_measure_distance() -> None:
    assert fields.circle(0.0, 0.0, 0.5)[0, 0] == pytest.approx(np.sqrt(2) * 1.25 - 0.5)
    square = fields.polygon([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    assert np.allclose(square, fields.box(0.0, 0.0, 0.5, 0.5), atol=1e-9)
    line = fields.stroke([(-0.5, 0.0), (0.5, 0.0)], 0.2)
    assert line[0, 40] == pytest.approx(np.abs(fields.Y[0, 40]) - 0.1)
