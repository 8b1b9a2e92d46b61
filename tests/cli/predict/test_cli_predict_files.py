"""Predictions as files, on features, and by thresholds of validation images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import ltbench
from ltbench.engine.calibrate import NAME, judged_rows
from ltbench.metrics.contract import evaluate
from ltbench.metrics.thresholds import Rule
from tests.cli.conftest import Cli
from tests.cli.predict.predict_toys import attempt

RUN = ("predict", "--run")


def test_every_file_of_a_folder_has_a_row_predicted_or_not(cli: Cli, here: Path) -> None:
    folder = here / "mixed"
    (folder / "sub").mkdir(parents=True)
    (here / "test" / "000.png").rename(folder / "sub" / "a.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (folder / "notes.txt").write_text("no picture")
    run = str(attempt(here, "coop"))
    said = cli(*RUN, run, "mixed", "--save", "out/all.csv")
    assert said.code == 1
    frame = pd.read_csv("out/all.csv", keep_default_na=False)
    assert dict(zip(frame["file"], frame["status"], strict=True)) == {
        "mixed/sub/a.png": "predicted",
        "mixed/broken.jpg": "skipped",
        "mixed/notes.txt": "skipped",
    }
    assert frame["why"][2] == "no image"
    assert "broken.jpg" in frame["why"][1]
    asked = json.loads(cli(*RUN, run, "mixed/sub/a.png", "--json").out)
    labels = {label["class"]: label for label in asked["pictures"][0]["labels"]}
    names = list(frame.columns[4:])
    assert names == asked["classes"]
    assert [float(frame[name][0]) for name in names] == pytest.approx([labels[name]["probability"] for name in names])
    assert frame["present"][0] == "|".join(name for name in names if labels[name]["present"])


def test_parquet_and_json_hold_the_same(cli: Cli, here: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs the extra parquet")
    run = str(attempt(here, "zero-shot"))
    assert cli(*RUN, run, "test/000.png", "test/001.png", "--save", "p.parquet").code == 0
    assert cli(*RUN, run, "test/000.png", "test/001.png", "--save", "p.json").code == 0
    frame, document = pd.read_parquet("p.parquet"), json.loads(Path("p.json").read_text())
    for row, picture in enumerate(document["pictures"]):
        for label in picture["labels"]:
            assert frame[label["class"]][row] == pytest.approx(label["logit"])
    # Nothing decides what is present: the scores of this method are no probabilities.
    assert list(frame["present"]) == ["", ""]


def test_thresholds_are_of_validation_images_kept_and_used(cli: Cli, here: Path) -> None:
    folder = attempt(here, "zero-shot")
    plain = cli(*RUN, str(folder), "test", "--json")
    assert json.loads(plain.out)["thresholds"] is None
    said = cli(*RUN, str(folder), "test", "--thresholds", "f1", "--json")
    assert said.code == 0, said.err
    document = json.loads(said.out)
    judged = judged_rows(folder / "record.json")
    # Twelve validation rows, which are part of the task's runs.
    assert judged.own
    expected = {name: None if one is None else one.logit for name, one in judged.thresholds(Rule("f1")).items()}
    assert document["thresholds"] == expected
    for picture in document["pictures"]:
        for label in picture["labels"]:
            limit = expected[label["class"]]
            assert label["present"] == (limit is not None and label["logit"] > limit)
    # On the rows that they were chosen on they beat the cut at zero, class by class.
    ours = evaluate(
        judged.logits,
        judged.labels,
        None,
        ("CF1",),
        decisions=judged.logits > np.array([np.inf if cut is None else cut for cut in expected.values()]),
    )
    zero = evaluate(judged.logits, judged.labels, None, ("CF1",), decisions=judged.logits > 0)
    assert ours.scores["CF1"]["total"] >= zero.scores["CF1"]["total"]
    assert (folder / NAME).is_file()
    # A wanted precision, from the same file: the data set is not opened again.
    table = cli(*RUN, str(folder), "test/000.png", "--thresholds", "precision:0.9")
    assert "chosen for precision:0.9 on validation images" in " ".join(table.out.split())
    assert "predicting validation images" not in table.err


def test_a_damaged_file_of_validation_rows_says_what_to_remove(cli: Cli, here: Path) -> None:
    folder = attempt(here, "zero-shot")
    (folder / NAME).write_bytes(b"\x10\0\0\0\0\0\0\0 nothing of the kind")
    said = cli(*RUN, str(folder), "test/000.png", "--thresholds", "f1")
    assert said.code == 2
    assert "is damaged" in said.err
    assert "rm " in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--thresholds", "best"), "f1, or precision:P"),
        (("--thresholds", "f1", "--threshold", "0.5"), "exclude each other"),
        (("--thresholds", "f1", "--classes", "moon"), "run's own classes"),
        (("--save", "out.xls"), ".parquet"),
        (("--annotate", "drawn", "rows.npz"), "predicted on alone"),
    ],
)
def test_what_was_typed_is_checked_before_anything_is_opened(
    cli: Cli, here: Path, args: tuple[str, ...], text: str
) -> None:
    said = cli(*RUN, str(attempt(here, "coop")), "test/000.png", *args)
    assert said.code == 2
    assert text in said.err


def test_features_of_the_runs_own_encoder_give_what_pictures_give(cli: Cli, here: Path) -> None:
    from ltbench.engine.predict import open_run

    folder = attempt(here, "linear-probe")
    pictures = [Image.open(here / "test" / f"{row:03d}.png").convert("RGB") for row in range(3)]
    with open_run(folder / "record.json") as predictor:
        backbone = predictor._phase.setup.backbone
        import torch

        features = backbone.encode_global(torch.stack([backbone.preprocess(one) for one in pictures])).detach().numpy()
        direct = predictor.logits(pictures)
    np.savez(here / "rows.npz", files=["a", "b", "c"], features=features.astype(np.float32))
    document = json.loads(cli(*RUN, str(folder), "rows.npz", "--json").out)
    assert [picture["path"] for picture in document["pictures"]] == ["a", "b", "c"]
    for picture, row in zip(document["pictures"], direct, strict=True):
        found = {label["class"]: label["logit"] for label in picture["labels"]}
        assert [found[name] for name in document["classes"]] == pytest.approx(row.tolist(), abs=1e-4)
    assert list(ltbench.predict(folder, [here / "rows.npz"]).index) == ["a", "b", "c"]
    np.savez(here / "narrow.npz", files=["a"], features=np.zeros((1, 3), np.float32))
    said = cli(*RUN, str(folder), "narrow.npz")
    assert said.code == 2
    assert "3 numbers an image" in said.err


def test_pictures_in_memory_are_read_as_their_files_are(here: Path) -> None:
    folder = attempt(here, "linear-probe")
    rng = np.random.default_rng(0)
    deep = Image.fromarray((rng.random((64, 64)) * 65535).astype(np.uint16))
    deep.save(here / "deep.png")
    clear = Image.fromarray(rng.integers(0, 255, (64, 64, 4), np.uint8))
    clear.save(here / "clear.png")
    turned = Image.open(here / "test" / "000.png").convert("RGB")
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(here / "turned.jpg", exif=exif, quality=95)
    for name in ("deep.png", "clear.png", "turned.jpg"):
        both = ltbench.predict(folder, [Image.open(here / name), here / name])
        assert both.iloc[0].tolist() == pytest.approx(both.iloc[1].tolist(), abs=1e-6), name
