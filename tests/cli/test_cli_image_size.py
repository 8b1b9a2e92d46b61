"""``--image-size``: said, recorded, part of what a run is, and refused where it cannot be; on 48 images of 64 x 64."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ltbench.cli import main
from tests.cli.conftest import Cli

TOWER = "timm:test_resnet"
OWN = 160
RUN = ("run", "--task", "shapes-micro", "--weights", "random", "--method", "linear-probe", "-o", "epochs=2")
SMALL = (*RUN, "--backbone", TOWER, "--image-size", "96")


def _record(out: Path) -> dict[str, Any]:
    (path,) = out.glob("shapes-micro/*/*/*/record.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def sized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on a tower of timm, its images smaller than the tower's own."""
    out = tmp_path_factory.mktemp("sized") / "ltbench-runs"
    assert main([*SMALL, "--out", str(out)]) == 0
    return out


def test_the_size_is_said_and_decides_what_a_run_is(cli: Cli, sized: Path, tmp_path: Path) -> None:
    said = cli(*RUN, "--backbone", TOWER, "--out", str(tmp_path / "own"))
    assert said.code == 0, said.err
    assert said.err.splitlines()[0] == f"linear-probe on shapes-micro, {TOWER}, seed 0"
    own, small = _record(tmp_path / "own"), _record(sized)
    assert (own["backbone"]["image_size"], small["backbone"]["image_size"]) == (OWN, 96)
    assert own["backbone"]["weights_sha256"] == small["backbone"]["weights_sha256"]
    assert own["backbone"]["transform_sha256"] != small["backbone"]["transform_sha256"]
    assert own["key"] != small["key"]
    assert own["logits"]["sha256"] != small["logits"]["sha256"]
    again = cli(*SMALL, "--out", str(sized), "--json")
    assert again.err.splitlines()[0] == f"linear-probe on shapes-micro, {TOWER}, images of 96 x 96, seed 0"
    assert json.loads(again.out)[0]["reused"] is True
    # Two sizes are two rows, which do not rank against each other.
    board = cli("leaderboard", "--task", "shapes-micro", "--records", str(sized), "--records", str(tmp_path / "own"))
    assert board.out.count("linear-probe") == 2, board.out


def test_show_run_says_a_size_that_is_not_the_backbones(cli: Cli, sized: Path, tmp_path: Path) -> None:
    (path,) = sized.glob("shapes-micro/*/*/*/record.json")
    assert f"96 x 96, the backbone's own are {OWN} x {OWN}" in cli("show", "run", str(path)).out
    assert cli(*RUN, "--out", str(tmp_path / "runs")).code == 0
    (path,) = (tmp_path / "runs").glob("shapes-micro/*/*/*/record.json")
    assert "the backbone's own are" not in cli("show", "run", str(path)).out


def test_a_dry_run_knows_it(cli: Cli, sized: Path) -> None:
    for extra, size, finished in (((), OWN, False), (("--image-size", "96"), 96, True)):
        said = cli(*RUN, "--backbone", TOWER, *extra, "--out", str(sized), "--dry-run", "--json")
        (plan,) = json.loads(said.out)
        assert (plan["image_size"], plan["finished"]) == (size, finished)
        # What runs of another size took says nothing.
        assert (plan["expected"] is not None) == finished


def test_it_is_verified_run_again_and_applied_to_new_pictures(cli: Cli, sized: Path, tmp_path: Path) -> None:
    assert cli("verify", str(sized)).code == 0
    said = cli("verify", "--rerun", str(sized), "--json")
    assert said.code == 0, said.out + said.err
    assert "same" in said.out
    Image.new("RGB", (80, 50), "red").save(tmp_path / "red.png")
    (path,) = sized.glob("shapes-micro/*/*/*/record.json")
    said = cli("predict", "--run", str(path), str(tmp_path / "red.png"), "--json")
    assert said.code == 0, said.err
    assert len(json.loads(said.out)["pictures"]) == 1


def test_a_record_with_another_size_than_its_encoder_had_is_wrong(cli: Cli, sized: Path, tmp_path: Path) -> None:
    from ltbench.engine.restate import restate
    from ltbench.records.read import load_record
    from ltbench.tasks.registry import load_task

    (path,) = sized.glob("shapes-micro/*/*/*/record.json")
    record = load_record(path)
    assert restate(record, load_task("shapes-micro")).problems == []
    forged = record.model_copy(update={"backbone": record.backbone.model_copy(update={"image_size": OWN})})
    problems = restate(forged, load_task("shapes-micro")).problems
    assert any(problem.startswith("backbone.transform") for problem in problems)


def test_a_preset_may_ask_for_it_and_what_is_typed_wins(cli: Cli, tmp_path: Path) -> None:
    entry = {"name": "mine", "origin": "default", "image_size": 128, "overrides": {"epochs": 1}}
    (tmp_path / "mine.yaml").write_text(json.dumps({"linear-probe": [entry]}), encoding="utf-8")
    run = (
        "run",
        "--task",
        "shapes-micro",
        "--weights",
        "random",
        "--method",
        "linear-probe",
        "--backbone",
        "tiny-clip",
    )
    mine = (*run, "--preset", str(tmp_path / "mine.yaml"))
    said = cli(*mine, "--out", "a", "--json")
    assert said.code == 0, said.err
    assert ", images of 128 x 128, seed 0" in said.err.splitlines()[0]
    record = json.loads(said.out)[0]["record"]
    assert (record["backbone"]["image_size"], record["method"]["preset"]) == (128, "mine")
    said = cli(*mine, "--image-size", "96", "--out", "b", "--json")
    record = json.loads(said.out)[0]["record"]
    assert (record["backbone"]["image_size"], record["method"]["preset"]) == (96, "mine+overrides")
    said = cli(*mine, "--image-size", "128", "--out", "a", "--json")
    assert json.loads(said.out)[0]["reused"] is True


def test_a_search_and_the_preset_that_it_writes_keep_it(cli: Cli) -> None:
    tune = ("tune", "--task", "shapes-micro", "--method", "linear-probe", "--weights", "random", "--trials", "1")
    said = cli(*tune, "-o", "epochs=1", "--image-size", "96", "--out", "runs", "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert json.loads(Path(found["record"]).read_text(encoding="utf-8"))["image_size"] == 96
    said = cli(*RUN, "--preset", found["preset"], "--dry-run", "--json")
    assert json.loads(said.out)[0]["image_size"] == 96
    # A file that claims the search for images of another size is refused.
    text = Path(found["preset"]).read_text(encoding="utf-8")
    Path(found["preset"]).write_text(text.replace("image_size: 96", "image_size: 128"), encoding="utf-8")
    said = cli(*RUN, "--preset", found["preset"], "--dry-run")
    assert said.code == 2
    assert "is of images of another size" in said.err


def test_a_plan_of_a_sweep_has_it_for_all_runs_and_for_one(cli: Cli, tmp_path: Path) -> None:
    plan = {
        "tasks": ["shapes-micro"],
        "methods": ["zero-shot", {"method": "zero-shot", "image_size": 128}],
        "seeds": [0],
        "backbone": "tiny-clip",
        "weights": "random",
        "image_size": 96,
    }
    (tmp_path / "plan.yaml").write_text(json.dumps(plan), encoding="utf-8")
    said = cli("sweep", "--plan", "plan.yaml", "--out", "runs", "--jobs", "1", "--json")
    assert said.code == 0, said.err
    sizes = [json.loads(Path(run["path"]).read_text("utf-8"))["backbone"]["image_size"] for run in json.loads(said.out)]
    assert sizes == [96, 128]
    assert "zero-shot [128 pixels] seed 0" in said.err
    said = cli("sweep", "--plan", "plan.yaml", "--image-size", "64")
    assert said.code == 2
    assert "--image-size and --plan exclude each other" in said.err


@pytest.mark.parametrize(
    ("extra", "line"),
    [
        (("--backbone", "precomputed:x.npz", "--image-size", "64"), "has features only, and images of no size"),
        (
            ("--backbone", "timm:mixer_s32_224", "--image-size", "96"),
            "takes no images of 96 pixels",
        ),
        (("--backbone", "timm:test_vit", "--image-size", "100"), "takes no images of 100 pixels"),
        (("--image-size", "16"), "16 is not in the range x>=32"),
    ],
)
def test_what_cannot_be_had_is_refused_in_one_line(cli: Cli, extra: tuple[str, ...], line: str) -> None:
    said = cli(*RUN, *extra)
    assert said.code == 2
    errors = [each for each in said.err.splitlines() if each.startswith("error: ")]
    assert len(errors) == 1
    assert line in errors[0]
    assert " → " in errors[0]


def test_a_method_that_resizes_images_itself_decides(cli: Cli) -> None:
    run = ("run", "--task", "shapes-micro", "--weights", "random", "--method", "dualcoop", "--preset", "none")
    own = (*run, "-o", "images=squeezed", "-o", "image_size=96", "-o", "epochs=1", "-o", "batch_size=8")
    said = cli(*own, "--image-size", "128")
    assert said.code == 2
    problem = "method dualcoop resizes images to 96 pixels a side itself, and --image-size is 128 → -o image_size=128"
    assert problem in said.err
    said = cli(*own, "--image-size", "96", "--json")
    assert said.code == 0, said.err
    assert "images of 96 x 96, as method dualcoop asks; the backbone's own are of 64 x 64" in said.err
    agreed = json.loads(said.out)[0]["record"]
    assert agreed["backbone"]["image_size"] == 96
    # Nothing else than what the option alone gives.
    again = json.loads(cli(*own, "--json").out)[0]
    assert (again["record"]["key"], again["reused"]) == (agreed["key"], True)
    assert cli("verify", str(Path("ltbench-runs"))).code == 0


def test_a_tower_of_timm_can_be_squeezed(cli: Cli) -> None:
    """What the releases of SSGRL, SST and SARB do with a ResNet-101 of ImageNet's: 448 pixels, its own statistics."""
    run = ("run", "--task", "shapes-micro", "--weights", "random", "--method", "sst", "--preset", "none")
    options = ("epochs=1", "batch_size=8", "hidden=8", "output=8", "words=one-hot", "image_size=96")
    said = cli(*run, "--backbone", TOWER, *(part for each in options for part in ("-o", each)), "--json")
    assert said.code == 0, said.err
    backbone = json.loads(said.out)[0]["record"]["backbone"]
    assert backbone["image_size"] == 96
    assert "both sides to 96 (bilinear" in backbone["transform"]
