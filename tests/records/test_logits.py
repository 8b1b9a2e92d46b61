from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ltbench.metrics.errors import MetricError
from ltbench.plugin.errors import UserError
from ltbench.records.judge import judge
from ltbench.records.logits import read_logits, write_logits
from ltbench.tasks.protocols import fingerprint
from records import builders as b

LOGITS = np.array([[1.5, -2.0], [0.25, np.float32(1e-30)], [3.0, -0.0]], dtype=np.float32)
IDS = ("r1", "r2", "r3")
NAMES = ("cup", "Käfer")
THREE = ("cup", "Käfer", "star")


def test_round_trip_keeps_every_bit(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "logits.safetensors"
    sha256 = write_logits(path, LOGITS, IDS, NAMES, validation=LOGITS[:1] + 1)
    file = read_logits(path)
    assert file.logits.dtype == np.float32
    assert file.logits.tobytes() == LOGITS.tobytes()
    assert file.validation is not None
    np.testing.assert_array_equal(file.validation, LOGITS[:1] + 1)
    assert file.sha256 == sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.ids_sha256 == fingerprint(list(IDS))
    assert file.classes_sha256 == fingerprint(list(NAMES))


def test_the_same_logits_are_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path; from ltbench.records.logits import write_logits\n"
        "print(write_logits(Path(sys.argv[1]), np.ones((2, 3), np.float32), ['a', 'b'], ['x', 'y', 'z']))"
    )
    hashes = {
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], capture_output=True, check=True).stdout
        for name in ("one", "two", "three")
    }
    assert len(hashes) == 1


def test_slices_are_written_as_they_look(tmp_path: Path) -> None:
    wide = np.arange(12, dtype=np.float32).reshape(3, 4)
    write_logits(tmp_path / "l", wide[:, ::2], IDS, NAMES)
    np.testing.assert_array_equal(read_logits(tmp_path / "l").logits, wide[:, ::2])


@pytest.mark.parametrize(
    ("logits", "ids", "says"),
    [
        (LOGITS.astype(np.float64), IDS, "float32"),
        (LOGITS[:, :1], IDS, "float32"),
        (LOGITS[0], IDS, "float32"),
        (LOGITS, IDS[:2], "2 ids for 3 rows"),
    ],
)
def test_what_does_not_fit_is_not_written(tmp_path: Path, logits: np.ndarray, ids: tuple[str, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        write_logits(tmp_path / "l", logits, ids, NAMES)
    assert not (tmp_path / "l").exists()


def test_damaged_and_foreign_files_are_named(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "logits.safetensors"
    with pytest.raises(UserError, match=r"logits\.safetensors cannot be read"):
        read_logits(path)
    write_logits(path, LOGITS, IDS, NAMES)
    content = path.read_bytes()
    for broken in (b"", content[:5], content[:-3], b"\xff" * 40):
        path.write_bytes(broken)
        with pytest.raises(UserError, match=r"logits\.safetensors are damaged"):
            read_logits(path)
    save_file({"logits": LOGITS}, path)
    with pytest.raises(UserError, match="not written by ltbench"):
        read_logits(path)


def test_float16_rounds_to_the_nearest_and_ends_at_its_ends(tmp_path: Path) -> None:
    wild = np.array([[1e30, 65519.0, 65504.0], [-1e30, 0.1, -1e-9], [20.0041, 20.0042, 20.0]], dtype=np.float32)
    half = write_logits(tmp_path / "half", wild, ("a", "b", "c"), THREE, dtype="float16")
    file = read_logits(tmp_path / "half")
    assert (file.dtype, file.sha256) == ("float16", half)
    assert file.logits.dtype == np.float32
    wanted = [[65504.0, 65504.0, 65504.0], [-65504.0, np.float16(0.1), 0.0], [20.0, 20.0, 20.0]]
    np.testing.assert_array_equal(file.logits, np.array(wanted, dtype=np.float32))
    again = write_logits(tmp_path / "again", file.logits, ("a", "b", "c"), THREE, dtype="float16")
    assert again == half
    assert write_logits(tmp_path / "full", wild, ("a", "b", "c"), THREE) != half
    assert read_logits(tmp_path / "full").dtype == "float32"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_so_in_float16_and_is_refused_when_judged(value: float, tmp_path: Path) -> None:
    truth = b.open_truth(b.task(contract=2), b.data_set())
    logits = b.logits_for(truth)
    logits[3, 1] = value
    write_logits(tmp_path / "l", logits, truth.ids, truth.class_names, dtype="float16")
    with pytest.raises(MetricError, match=r"test-003.*star|star.*test-003"):
        judge(b.task(contract=2), truth, read_logits(tmp_path / "l").logits)


def test_ties_that_rounding_makes_are_judged_as_ties(tmp_path: Path) -> None:
    """Contract 2 never looks behind the file: two logits that round to one are one threshold."""
    task = b.task(contract=2)
    truth = b.open_truth(task, b.data_set())
    logits = b.logits_for(truth) * 1e-3 + 1000
    write_logits(tmp_path / "l", logits, truth.ids, truth.class_names, dtype="float16")
    stored = read_logits(tmp_path / "l").logits
    assert len(np.unique(stored)) == 1
    share = {name: 100 * float((truth.labels[:, c] == 1).mean()) for c, name in enumerate(truth.class_names)}
    found = judge(task, truth, stored, replicates=2).per_class_ap
    for name, value in found.items():
        assert value == (None if share[name] == 0 else pytest.approx(share[name]))
