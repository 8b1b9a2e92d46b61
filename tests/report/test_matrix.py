"""Recipes by tasks: what fills a cell, and what an empty one says."""

from __future__ import annotations

from pathlib import Path

import pytest
from records import builders as b

from ltbench.plugin.errors import UserError
from ltbench.report.matrix import (
    PHOTOS,
    SHAPES,
    Images,
    Matrix,
    committed_records,
)
from ltbench.report.matrix_page import render_matrix, stale_matrix, write_matrix
from report.matrices import LT, PLT, matrix, recipe, run


def cells(made: Matrix) -> dict[str, list[str]]:
    return {row[0].text: [cell.text for cell in row[1:]] for table in made.groups.values() for row in table.rows}


def test_a_filled_cell_is_the_mean_with_its_interval() -> None:
    made = matrix(run("coop", 70.0), run("coop", 72.0, seed=1))
    assert cells(made)["coop"] == ["71.00 ± 12.71", "not run"]
    (table,) = made.groups.values()
    assert table.columns == ("method", "toy-lt: mAP", "toy-plt@mr40: mAP")


def test_an_empty_cell_says_why() -> None:
    failed = b.failure(method=b.method_facts(name="coop"))
    limited = run("closed", 50.0, limit=8)
    made = matrix(failed, limited)
    assert cells(made) == {"closed": ["not ranked", "fixed classes"], "coop": ["failed", "not run"]}
    assert set(made.reasons) == {"not ranked", "fixed classes", "failed", "not run"}
    assert cells(matrix())["closed"] == ["no preset", "fixed classes"]
    page = render_matrix(made)
    assert "* *fixed classes*: it answers for its training classes only." in page
    assert "no preset" not in page, "only reasons that occur are explained"
    assert "Filled cells: toy-lt 0, toy-plt@mr40 0." in page


def test_a_recipe_made_for_other_families_is_told_from_one_that_brings_no_configuration() -> None:
    recipes = [recipe("lesa", families=("zero-shot",)), recipe("closed"), recipe("anywhere", families=())]
    made = matrix(methods=recipes)
    assert {name: found[0] for name, found in cells(made).items()} == {
        "lesa": "other family",
        "closed": "no preset",
        "anywhere": "no preset",
    }
    assert "made for other families" in made.reasons["other family"]


def test_a_preset_for_the_visual_encoder_is_a_preset() -> None:
    """Photographs have two encoders, of which visual recipes have presets for the one without text only."""
    erm = [recipe("erm")]
    assert cells(matrix(methods=erm))["erm"] == ["no preset", "no preset"]
    assert cells(matrix(methods=erm, images=PHOTOS))["erm"] == ["not run", "not run"]


def test_what_others_had_not_stands_beside_the_figure() -> None:
    made = matrix(
        run("coop", 70.0, extras=("captions",)),
        run("coop", 60.0, task=PLT, backbone=b.backbone_facts(name="clip-rn50", image_size=224)),
    )
    assert cells(made)["coop"] == ["70.00 +captions", "60.00 clip-rn50"]
    page = render_matrix(made).replace("\n", " ")
    assert "Nothing is ranked in the tables" in page
    assert "Filled cells: toy-lt 1, toy-plt@mr40 1." in page


def test_no_row_of_several_is_picked_and_variants_have_their_own_line() -> None:
    several = matrix(
        run("coop", 70.0),
        run("coop", 80.0, facts={"preset": "long", "config": {"epochs": 90}}),
        run("coop", 75.0, task=PLT),
    )
    assert cells(several)["coop"] == ["80.00 [long]; 70.00", "75.00"]
    variants = matrix(run("coop", 70.0), run("coop", 80.0, facts={"variant": "code"}))
    assert list(cells(variants)) == ["closed", "coop", "coop (code)"]
    assert cells(variants)["coop (code)"] == ["80.00", "not run"]


def test_rows_of_two_encoders_are_told_apart_by_these_alone() -> None:
    """One preset for each: their configurations differ, and the encoder says already which is which."""
    other = b.backbone_facts(name="clip-rn50", image_size=224)
    made = matrix(
        run("coop", 70.0, facts={"preset": "photos", "config": {"epochs": 20}}),
        run("coop", 60.0, facts={"preset": "photos", "config": {"epochs": 90}}, backbone=other),
        run("coop", 50.0, facts={"preset": "photos-long", "config": {"epochs": 99}}, backbone=other),
    )
    assert cells(made)["coop"] == ["60.00 [photos] clip-rn50; 50.00 [photos-long] clip-rn50; 70.00", "not run"]


def test_recipes_are_grouped_by_plugin_and_baselines_by_what_they_were_made_for() -> None:
    methods = [recipe("z", "acme"), recipe("a"), recipe("c", "baselines-unseen", ("plt", "spml")), recipe("b")]
    made = matrix(methods=methods)
    assert {title: [row[0].text for row in table.rows] for title, table in made.groups.items()} == {
        "baselines, made for plt, spml": ["c"],
        "baselines, made for ltml": ["a", "b"],
        "acme": ["z"],
    }


def test_the_page_is_written_and_checked(tmp_path: Path) -> None:
    folder = tmp_path / "toy-plt" / "v1" / "records"
    folder.mkdir(parents=True)
    here, elsewhere = run("coop", 70.0, task=PLT), run("coop", 10.0, task=b.task(name="toy-plt", setting="mr50"))
    (folder / "mr40.json").write_text(here.to_json())
    (folder / "mr50.json").write_text(elsewhere.to_json())
    found = committed_records(tmp_path, (LT, PLT))
    assert found == {"toy-lt": [], "toy-plt@mr40": [here]}
    made = matrix(*found["toy-plt@mr40"])
    assert stale_matrix(tmp_path, made) == [tmp_path / "matrix.md"]
    assert write_matrix(tmp_path, made) == [tmp_path / "matrix.md"]
    assert stale_matrix(tmp_path, made) == []
    assert stale_matrix(tmp_path, matrix()) == [tmp_path / "matrix.md"]
    (folder / "broken.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        committed_records(tmp_path, (PLT,))


def test_notes_of_rows_stand_once_at_the_end_of_the_page() -> None:
    facts = {"config": {"negative": "a photo without a {}"}}
    noted = matrix(*(run("dual-templates", 9.0, task, facts=facts) for task in (LT, PLT)), run("coop", 60.0))
    (note,) = noted.notes
    assert note.startswith("dual-templates: tiny-clip has no token for the word 'without'")
    assert render_matrix(noted).count("dual-templates: tiny-clip") == 1
    assert "## Notes" not in render_matrix(matrix(run("coop", 60.0)))


@pytest.mark.parametrize("images", [PHOTOS, SHAPES], ids=["photos", "shapes"])
def test_every_family_has_a_column(images: Images) -> None:
    from ltbench.tasks.registry import load_task

    families = [load_task(address).family for address in images.tasks]
    assert sorted(families) == ["ltml", "partial", "plt", "spml", "zero-shot"]


def test_photographs_come_first_and_a_part_without_figures_is_a_line() -> None:
    from dataclasses import replace

    full = matrix(run("coop", 70.0))
    page = render_matrix(replace(full, images=PHOTOS), full)
    assert page.index("## Photographs") < page.index("## Drawn shapes")
    assert page.count("| coop") == 2
    short = render_matrix(replace(matrix(), images=PHOTOS), full)
    assert "## Photographs\n\nNo records on toy-lt, toy-plt@mr40.\n\n## Drawn shapes" in short
    assert "Backbone tiny-clip unless another is named. Filled cells: toy-lt 1, toy-plt@mr40 0." in short
