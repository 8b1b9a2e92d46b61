"""What the small commands say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ltbench.cli.checks import CHECKS, Check, all_checks
from ltbench.cli.presets import backbones_of, preset_lines
from ltbench.method.config import Preset
from ltbench.plugin import UserError
from tests.cli.conftest import Cli


def test_list_tasks_gives_name_family_and_settings(cli: Cli) -> None:
    rows = {row["name"]: row for row in json.loads(cli("list", "tasks", "--json").out)}
    assert rows["shapes-plt"]["settings"] == ["mr0", "mr30", "mr40", "mr50"]
    assert rows["shapes-zsl"]["family"] == "zero-shot"
    assert rows["shapes-micro"]["ranked"] is False
    assert "p10 p20 … p90" in cli("list", "tasks").out


def test_list_methods_says_what_fits_a_task(cli: Cli) -> None:
    rows = {row["name"]: row for row in json.loads(cli("list", "methods", "--task", "shapes-zsl", "--json").out)}
    assert rows["zero-shot"]["fits"] is True
    assert rows["linear-probe"]["fits"] is False
    assert "classes that training never names" in rows["linear-probe"]["why_not"]
    said = cli("list", "methods", "--task", "shapes-zsl").out
    fits = [row for row in rows.values() if row["fits"]]
    assert said.splitlines()[-1] == f"{len(fits)} of {len(rows)} methods run on shapes-zsl."
    assert len(fits) < len(rows)
    assert all(bool(row["why_not"]) is not row["fits"] for row in rows.values())
    assert cli("list", "methods", "--task", "shaps-zsl").err.startswith("error: unknown task 'shaps-zsl'")


def test_list_methods_says_what_an_encoder_serves(cli: Cli) -> None:
    command = ("list", "methods", "--task", "shapes-lt", "--backbone", "precomputed:features.npz")
    rows = {row["name"]: row for row in json.loads(cli(*command, "--json").out)}
    assert rows["linear-probe"]["fits"] is True
    assert rows["lmpt"]["fits"] is False
    assert rows["lmpt"]["why_not"] == "it needs text, which backbone precomputed:features.npz does not offer"
    assert f"{sum(row['fits'] for row in rows.values())} of" in cli(*command).out.splitlines()[-1]
    said = cli("list", "methods", "--backbone", "tiny-clip")
    assert said.code == 2
    assert "ltbench list methods --task NAME" in said.err


def test_list_methods_says_what_runs_on_a_task_with_hidden_labels(cli: Cli) -> None:
    rows = {row["name"]: row for row in json.loads(cli("list", "methods", "--task", "plt-voc", "--json").out)}
    assert {"comic", "lmpt", "dualcoop", "hspnet", "dr"} <= {name for name, row in rows.items() if row["fits"]}
    assert rows["lmpt"]["uses"] == "captions made from observed labels"
    assert rows["comic"]["uses"] == ""
    assert rows["hspnet"]["uses"] == "label groups where the data set has some"
    assert "captions made from observed" in cli("list", "methods", "--task", "plt-voc").out


def test_the_matrix_says_why_a_cell_is_empty_and_is_checked(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "leaderboards").mkdir()
    said = cli("leaderboard", "--matrix")
    assert (said.code, said.out) == (0, "wrote leaderboards/README.md\nwrote leaderboards/matrix.md\n")
    page = tmp_path / "leaderboards" / "matrix.md"
    _, line = [line for line in page.read_text().splitlines() if line.startswith("| tai-dpt ")]
    assert "not run" in line
    assert "| no row yet" in (tmp_path / "leaderboards" / "README.md").read_text()
    assert line.rstrip(" |").endswith("needs captions")
    page.write_text("old")
    stale = cli("leaderboard", "--matrix", "--check")
    assert stale.code == 1
    assert stale.out.splitlines() == [
        "out of date: leaderboards/matrix.md",
        "1 file is out of date → ltbench leaderboard --matrix",
    ]


def test_show_task_names_protocol_groups_and_traps(cli: Cli) -> None:
    out = cli("show", "task", "shapes-plt@mr40").out
    assert "40 % of each class's present labels hidden" in out
    assert "head n >= 100, medium n >= 20" in out
    assert "\n! " in out
    assert max(len(line) for line in out.splitlines()) <= 80
    (document,) = json.loads(cli("show", "task", "shapes-plt@mr40", "--json").out)
    assert (document["name"], document["setting"], document["version"]) == ("shapes-plt", "mr40", 1)
    assert len(json.loads(cli("show", "task", "shapes-plt", "--json").out)) == 4


def test_show_method_gives_options_with_their_source_and_the_card(cli: Cli) -> None:
    out = cli("show", "method", "lmpt").out
    assert "lambda_cls" in out
    assert "weight of L_cls [4.2]" in out
    assert "# lmpt" in out
    document = json.loads(cli("show", "method", "lmpt", "--json").out)
    assert {option["name"] for option in document["options"]} >= {"lr", "epochs", "lambda_cls"}
    assert all(option["description"] for option in document["options"])
    assert document["needs"]["text"] is True


def test_show_method_puts_the_card_first_and_tells_presets_apart(cli: Cli) -> None:
    out = cli("show", "method", "lmpt").out
    assert out.index("presets for") < out.index("# lmpt") < out.index("Options (-o") < out.index("Presets (--preset")
    assert "presets for  clip-rn50, clip-vit-b16, tiny-clip" in out
    presets = out[out.index("Presets (--preset") :]
    assert "table2-bce: for voc-lt, clip-vit-b16, variant paper" in presets
    assert "as voc-lt (voc-lt, clip-rn50, clip-vit-b16, variant paper), but loss=bce" in presets
    told = json.loads(cli("show", "method", "lmpt", "--json").out)["presets"]
    assert sum(f"{preset['name']}: for " in presets for preset in told) == len(told)


def test_differences_of_presets_give_their_options_again() -> None:
    presets = [
        Preset(name="a", origin="default", tasks=("voc-lt",), overrides={"lr": 1, "loss": "db", "epochs": 3}),
        Preset(name="a", origin="default", tasks=("coco-lt",), overrides={"lr": 2, "loss": "db", "epochs": 3}),
        Preset(name="b", origin="default", overrides={"lr": 2, "epochs": 3}),
        Preset(name="c", origin="default", overrides={"bias": True}),
        Preset(name="d", origin="default", backbones=("tiny-clip",), overrides={"bias": True}),
    ]
    assert list(preset_lines(presets))[1::2] == [
        "    lr=1 loss=db epochs=3",
        "    as a (voc-lt), but lr=2",
        "    as a (coco-lt), but loss=(default)",
        "    bias=True",
        "    as c",
    ]
    assert backbones_of(presets) == "tiny-clip, any backbone (4 of 5)"
    assert backbones_of([]) == "none"


def test_show_backbone_takes_names_and_prefixes(cli: Cli) -> None:
    assert "224 x 224" in cli("show", "backbone", "clip-rn50").out
    assert json.loads(cli("show", "backbone", "timm:resnet18", "--json").out)["name"] == "timm:…"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six photographs and a CSV."""
    for number in range(6):
        Image.fromarray(np.full((6, 8, 3), number, dtype=np.uint8)).save(tmp_path / f"{number}.png")
    rows = [f"{n}.png,{'test' if n > 3 else 'train'},{'cat' if n % 2 else 'cat|dog'}" for n in range(6)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,split,labels", *rows]) + "\n")
    return tmp_path


def test_task_new_makes_a_task_that_lists_shows_and_reports_its_state(cli: Cli, photos: Path) -> None:
    said = cli("task", "new", "my-photos", "--images", ".", "--labels", "labels.csv")
    assert (said.code, said.out.splitlines()[0]) == (0, "Task my-photos version 1: 4 train, 2 test images, 2 classes.")
    assert "Next: ltbench run --task my-photos --method linear-probe-lbfgs --backbone timm:" in said.out
    again = cli("task", "new", "my-photos", "--images", ".", "--labels", "labels.csv", "--json")
    assert json.loads(again.out)["changed"] is False
    assert "my-photos" in cli("list", "tasks").out
    assert "cat, dog" in cli("show", "task", "my-photos").out
    assert "6 images" in cli("data", "status").out
    (photos / "3.png").unlink()
    assert "1 of 6 images are gone" in " ".join(cli("data", "status").out.split())
    said = cli("run", "--task", "my-photos", "--method", "linear-probe")
    assert said.err.startswith("error: task my-photos has no default backbone → --backbone clip-rn50, timm:NAME")


def test_task_new_lists_every_bad_row(cli: Cli, photos: Path) -> None:
    text = (photos / "labels.csv").read_text()
    (photos / "labels.csv").write_text(text + "7.png,train,cat\n0.png,tets,cat||dog\n")
    said = cli("task", "new", "my-photos", "--images", ".", "--labels", "labels.csv")
    assert said.code == 2
    assert [line for line in said.err.splitlines() if not line.startswith("checking images")] == [
        "  labels.csv line 8: image '7.png' is missing",
        "  labels.csv line 9: duplicate file '0.png' (first on line 2)",
        "  labels.csv line 9: unknown split 'tets'; it is one of train, val, test",
        "  labels.csv line 9: empty label in labels 'cat||dog'",
        "error: 4 problems in labels.csv, listed above; nothing was written "
        "→ correct labels.csv and type the same command again",
    ]
    assert not (photos / "ltbench-tasks").exists()


def test_task_new_says_where_it_may_not_write(cli: Cli, photos: Path) -> None:
    (photos / "taken").write_text("a file")
    said = cli("task", "new", "my-photos", "--images", ".", "--labels", "labels.csv", "--out", "taken")
    assert said.code == 2
    assert said.err.splitlines()[-1].startswith("error: could not write labels-train.npy")


def test_doctor_lists_every_check_and_fails_where_one_fails(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHECKS, "tiny-clip", lambda: iter([Check("tiny-clip", "ok", "stands in")]))
    said = cli("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(said.out)}
    assert said.code == 0, checks
    assert {
        "python",
        "torch",
        "mmengine",
        "open_clip",
        "timm",
        "torchvision",
        "device",
        "cache",
        "plugins",
        "shapes",
    } <= set(checks)
    assert all(check["todo"] for check in checks.values() if check["state"] != "ok")

    monkeypatch.setitem(CHECKS, "tiny-clip", lambda: iter([Check("tiny-clip", "fail", "damaged", "pip install")]))
    said = cli("doctor")
    assert said.code == 1
    assert "damaged → pip install" in said.out
    assert "1 of " in said.out.splitlines()[-1]


def test_doctor_survives_a_check_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("no\nluck")

    for name in list(CHECKS):
        monkeypatch.delitem(CHECKS, name)
    monkeypatch.setitem(CHECKS, "odd", broken)
    monkeypatch.setitem(CHECKS, "good", lambda: iter([Check("good", "ok", "fine")]))
    assert [(check.name, check.state, check.found) for check in all_checks()] == [
        ("odd", "fail", "RuntimeError: no luck"),
        ("good", "ok", "fine"),
    ]


def test_doctor_finds_damaged_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    import ltbench.backbones.tiny_clip as tiny

    def damaged() -> None:
        raise UserError("the bundled weights of tiny-clip are damaged", "pip install --force-reinstall ltbench")

    monkeypatch.setattr(tiny, "load_pretrained", damaged)
    (check,) = CHECKS["tiny-clip"]()
    assert (check.state, check.todo) == ("fail", "pip install --force-reinstall ltbench")


def test_doctor_finds_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "file" / "cache"))
    (check,) = CHECKS["cache"]()
    assert (check.state, check.todo) == ("fail", "set LTBENCH_CACHE to a folder that you may write")
