"""Unpacking: what is whole comes out whole, what is hostile stays inside, what is damaged is named."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltbench.data.getting.unpack import BadArchive, Limits, unpack

FILES = {"a/one.txt": b"one" * 5000, "a/b/two.bin": bytes(range(256)) * 40, "three": b""}
LOOSE = Limits()


def tar_of(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for info, content in members:
            info.size = len(content) if info.isreg() else info.size
            tar.addfile(info, io.BytesIO(content))
    return path


def plain_tar(path: Path, mode: str = "w") -> Path:
    folder = tarfile.TarInfo("a")
    folder.type = tarfile.DIRTYPE
    return tar_of(path, [(folder, b""), *((tarfile.TarInfo(f"./{name}"), text) for name, text in FILES.items())], mode)


def plain_zip(path: Path, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as opened:
        opened.writestr("a/", b"")
        for name, content in FILES.items():
            opened.writestr(name, content)
    return path


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_whole_tar(tmp_path: Path, mode: str) -> None:
    hashes = unpack(plain_tar(tmp_path / "a.tar", mode), "tar", tmp_path / "out")
    assert content_of(tmp_path / "out") == FILES
    assert hashes == {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_whole_zip(tmp_path: Path, compression: int) -> None:
    hashes = unpack(plain_zip(tmp_path / "a.zip", compression), "zip", tmp_path / "out")
    assert content_of(tmp_path / "out") == FILES
    assert hashes["three"] == hashlib.sha256(b"").hexdigest()


def test_modes_of_the_archive_are_not_kept(tmp_path: Path) -> None:
    info = tarfile.TarInfo("tool")
    info.mode = 0o6777
    unpack(tar_of(tmp_path / "a.tar", [(info, b"#!")]), "tar", tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out" / "tool").stat().st_mode) & 0o6111 == 0


ESCAPES = ["../x", "a/../../x", "/etc/x", "a/..", "C:/x", "a\\..\\x", "a:b"]


@pytest.mark.parametrize("path", ESCAPES)
def test_no_path_escapes(tmp_path: Path, path: str) -> None:
    with pytest.raises(BadArchive, match="leads out of its folder"):
        unpack(tar_of(tmp_path / "a.tar", [(tarfile.TarInfo(path), b"x")]), "tar", tmp_path / "out" / "deep")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(path, b"x")
    with pytest.raises(BadArchive, match="leads out of its folder"):
        unpack(tmp_path / "a.zip", "zip", tmp_path / "out" / "deep")
    assert sorted(content_of(tmp_path)) == ["a.tar", "a.zip"]


KINDS = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]


@pytest.mark.parametrize("kind", KINDS, ids=["symlink", "hard link", "character", "block", "fifo"])
def test_no_links_and_no_devices_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("odd")
    info.type, info.linkname = kind, "three"
    path = tar_of(tmp_path / "a.tar", [(tarfile.TarInfo("three"), b"3"), (info, b"")])
    with pytest.raises(BadArchive, match="'odd', which is neither a file nor a folder"):
        unpack(path, "tar", tmp_path / "out")
    assert content_of(tmp_path / "out") == {"three": b"3"}


def test_no_links_in_a_zip(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("odd")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(info, "/etc/passwd")
    with pytest.raises(BadArchive, match="neither a file nor a folder"):
        unpack(tmp_path / "a.zip", "zip", tmp_path / "out")


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(files=3), "more than 3 files"),
        (Limits(bytes=20_000), "more than 20000 bytes"),
        (Limits(path=8), r"a path of \d+ characters"),
    ],
    ids=["files", "bytes", "path"],
)
def test_limits(tmp_path: Path, limits: Limits, said: str) -> None:
    with pytest.raises(BadArchive, match=said):
        unpack(plain_zip(tmp_path / "a.zip"), "zip", tmp_path / "out", limits=limits)


def test_a_header_that_lies_about_the_size(tmp_path: Path) -> None:
    """A bomb: the list says 10 bytes, the data unpack to a million."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("bomb", bytes(1_000_000))
    raw = path.read_bytes()
    path.write_bytes(raw.replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(BadArchive):
        unpack(path, "zip", tmp_path / "out", limits=Limits(bytes=1000))
    assert all(len(content) <= 1000 for content in content_of(tmp_path / "out").values())


def test_the_same_file_twice(tmp_path: Path) -> None:
    members = [(tarfile.TarInfo("x"), b"1"), (tarfile.TarInfo("./x"), b"2")]
    with pytest.raises(BadArchive, match="holds 'x' twice"):
        unpack(tar_of(tmp_path / "a.tar", members), "tar", tmp_path / "out")
    members = [(tarfile.TarInfo("x"), b"1"), (tarfile.TarInfo("x/y"), b"2")]
    with pytest.raises(BadArchive, match="one name for a file and a folder"):
        unpack(tar_of(tmp_path / "b.tar", members), "tar", tmp_path / "out2")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_cut_anywhere_is_named(tmp_path: Path, mode: str) -> None:
    whole = plain_tar(tmp_path / "whole.tar", mode).read_bytes()
    # A plain tar is padded to blocks of 10 kB: its content ends before its bytes do.
    end = len(whole) if mode != "w" else len(whole.rstrip(b"\0"))
    for number, length in enumerate(sorted({0, 1, 20, *range(511, end, 512), end - 9, end - 1})):
        path = tmp_path / "VOCtest_06-Nov-2007.tar"
        path.write_bytes(whole[:length])
        with pytest.raises(BadArchive, match=r"archive VOCtest_06-Nov-2007\.tar is cut short or damaged"):
            unpack(path, "tar", tmp_path / f"out{number}")


def test_a_tar_cut_between_two_files_is_named(tmp_path: Path) -> None:
    """tarfile itself takes it for whole."""
    with tarfile.open(plain_tar(tmp_path / "a.tar")) as tar:
        ends = [member.offset_data + -(-member.size // 512) * 512 for member in tar]
    whole = (tmp_path / "a.tar").read_bytes()
    for number, end in enumerate(ends):
        (tmp_path / "cut.tar").write_bytes(whole[:end])
        with tarfile.open(tmp_path / "cut.tar") as tar:
            assert len(tar.getnames()) == number + 1
        with pytest.raises(BadArchive, match="cut short"):
            unpack(tmp_path / "cut.tar", "tar", tmp_path / f"out{number}")


def test_a_zip_cut_anywhere_is_named(tmp_path: Path) -> None:
    whole = plain_zip(tmp_path / "whole.zip").read_bytes()
    for length in range(0, len(whole), 37):
        (tmp_path / "a.zip").write_bytes(whole[:length])
        with pytest.raises(BadArchive, match=r"archive train2014\.zip is cut short or damaged"):
            unpack(tmp_path / "a.zip", "zip", tmp_path / f"out{length}", name="train2014.zip")


def test_a_changed_byte_in_a_zip_is_found_by_its_checksum(tmp_path: Path) -> None:
    raw = bytearray(plain_zip(tmp_path / "a.zip", zipfile.ZIP_STORED).read_bytes())
    raw[raw.index(b"oneoneone") + 100] ^= 1
    (tmp_path / "a.zip").write_bytes(raw)
    with pytest.raises(BadArchive, match="CRC"):
        unpack(tmp_path / "a.zip", "zip", tmp_path / "out")


def test_an_encrypted_zip_is_named(tmp_path: Path) -> None:
    raw = bytearray(plain_zip(tmp_path / "a.zip").read_bytes())
    for offset in (raw.index(b"PK\x03\x04", 10) + 6, raw.rindex(b"PK\x01\x02") + 8):
        raw[offset] |= 1
    (tmp_path / "a.zip").write_bytes(raw)
    with pytest.raises(BadArchive, match="encrypted"):
        unpack(tmp_path / "a.zip", "zip", tmp_path / "out")


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plain_zip(tmp_path / "a.zip")
    real = Path.open

    def full(self: Path, mode: str = "r", *args: object, **kwargs: object) -> object:
        if mode == "xb":
            raise OSError(28, "No space left on device", str(self))
        return real(self, mode, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left"):
        unpack(path, "zip", tmp_path / "out")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["w", "w:gz", "zip"]),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    keep=st.floats(0, 1),
)
def test_whatever_is_done_to_an_archive_nothing_leaves_the_folder(
    tmp_path_factory: pytest.TempPathFactory, kind: str, changes: list[tuple[float, int]], keep: float
) -> None:
    """A spoilt archive unpacks, or is a BadArchive; there is no third outcome."""
    work = tmp_path_factory.mktemp("fuzz")
    path = plain_zip(work / "a") if kind == "zip" else plain_tar(work / "a", kind)
    raw = bytearray(path.read_bytes())
    for place, value in changes:
        raw[int(place * len(raw))] = value
    path.write_bytes(raw[: max(1, round(keep * len(raw)))] if keep < 0.9 else raw)
    try:
        hashes = unpack(path, "zip" if kind == "zip" else "tar", work / "out")
    except BadArchive:
        hashes = {}
    written = content_of(work / "out")
    assert all(hashlib.sha256(written[name]).hexdigest() == digest for name, digest in hashes.items())
    assert sorted(os.listdir(work)) == ["a", "out"]
