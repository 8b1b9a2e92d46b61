"""Pictures as telephones take them, in a task of a user's own: what is predicted on is what the run cached."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ltbench
from ltbench.data import decode as decoding
from ltbench.engine.predict import open_run
from ltbench.records.logits import read_logits
from tests.cli.conftest import Cli
from tests.cli.predict.predict_toys import table_of

LABELS = ["sun", "sky|sun", "sky", "sun", "sky", "sky|sun"]


@pytest.fixture
def sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Six photographs of 12 megapixels with the camera held upright, and the sizes that they are decoded to."""
    rng, noted = np.random.default_rng(0), Image.Exif()
    noted[0x0112] = 6
    (tmp_path / "photos").mkdir()
    lines = ["file,split,labels"]
    for number, labels in enumerate(LABELS):
        coarse = rng.integers(0, 256, (15, 20, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((4000, 3000), Image.Resampling.BICUBIC)
        picture.save(tmp_path / "photos" / f"{number}.jpg", exif=noted)
        lines.append(f"{number}.jpg,{'test' if number > 3 else 'train'},{labels}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    found: list[tuple[int, int]] = []
    plain = decoding._as_shown

    def as_shown(image: Image.Image) -> decoding.Decoded:
        decoded = plain(image)
        found.append(decoded.image.size)
        return decoded

    monkeypatch.setattr(decoding, "_as_shown", as_shown)
    return found


def test_all_routes_see_the_same_reduced_pictures(cli: Cli, here: Path, sizes: list[tuple[int, int]]) -> None:
    assert cli("task", "new", "mine", "--images", "photos", "--labels", "labels.csv").code == 0
    sizes.clear()
    command = ("run", "--task", "mine", "--method", "linear-probe", "--backbone", "tiny-clip", "-o", "epochs=2")
    assert cli(*command, "-o", "augment=none").code == 0
    # An eighth, upright; each picture is read once.
    assert sizes == [(375, 500)] * 6
    (record,) = Path("ltbench-runs/mine").rglob("record.json")
    sizes.clear()
    said = cli("predict", "--run", str(record.parent), "photos/4.jpg", "photos/5.jpg", "--json")
    assert said.code == 0, said.err
    assert sizes == [(375, 500)] * 2
    stored = read_logits(record.parent / "logits.safetensors").logits
    by_command = table_of(json.loads(said.out))
    # Records keep them in 16 bits.
    np.testing.assert_array_equal(by_command.astype(np.float16), stored)
    frame = ltbench.predict(record.parent, ["photos/4.jpg", "photos/5.jpg"])
    np.testing.assert_allclose(np.log(frame / (1 - frame)), stored, atol=1e-3)
    assert sizes == [(375, 500)] * 4
    with open_run(record) as predictor:
        least = predictor.least_side
        assert least == 128
        whole = [decoding.decode(Path(f"photos/{number}.jpg")).image for number in (4, 5)]
        near = predictor.logits(whole)
    # Close to what pictures at full size give, which are in memory as they are.
    assert 0 < np.abs(near - stored).max() < 0.02 * np.abs(stored).max()
    sizes.clear()
    said = cli("export", str(record.parent), "--to", "model.pt2", "--json")
    assert json.loads(said.out)["checked_on"] == "test images of the run"
    assert sizes == [(375, 500)] * 2


def test_what_is_drawn_on_is_seen_at_full_size(cli: Cli, here: Path, sizes: list[tuple[int, int]]) -> None:
    (run,) = Path("ltbench-runs/shapes-micro/zero-shot").rglob("record.json")
    said = cli("predict", "--run", str(run.parent), "photos/0.jpg", "--annotate", "drawn", "--json")
    assert said.code == 0, said.err
    assert sizes == [(375, 500), (3000, 4000)]
