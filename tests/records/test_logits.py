from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ltbench.plugin.errors import UserError
from ltbench.records.logits import read_logits, write_logits
from ltbench.tasks.protocols import fingerprint

LOGITS = np.array([[1.5, -2.0], [0.25, np.float32(1e-30)], [3.0, -0.0]], dtype=np.float32)
IDS = ("r1", "r2", "r3")
NAMES = ("cup", "Käfer")


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
