"""Preparing, checking and bundling, end to end: archives served on this machine, unpacked, verified, mirrored."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import multiprocessing
import os
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from small_web import Web, serve

from ltbench.data.base import DataRoot, DataSet, FileImages, Labels, Part
from ltbench.data.formats.layouts import Layout
from ltbench.data.getting import archives, download, prepare
from ltbench.data.getting.archives import Piece
from ltbench.data.getting.bundle import bundle
from ltbench.data.getting.check import Opened, check
from ltbench.data.getting.download import Patience
from ltbench.data.getting.prepare import Needs, is_here, items, manifest, put
from ltbench.data.getting.sources import Source, fetch
from ltbench.plugin.errors import UserError
from ltbench.plugin.manager import registry
from ltbench.tasks.needs import needs_of, parts_of, pieces_of
from ltbench.tasks.registry import load_task

LAYOUT = Layout("toy", "the toy set", ("toykit/TOY", "TOY"), ("lists/train.txt",), "toykit/TOY")
NO_HASH = "made for a test"


def photograph(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (24, 16), (shade, 40, 90)).save(buffer, "JPEG")
    return buffer.getvalue()


FILES = {f"images/{row:03}.jpg": photograph(20 * row) for row in range(6)}
TRAIN = {"lists/train.txt": b"000\n001\n002\n003\n", **{name: FILES[name] for name in sorted(FILES)[:4]}}
TEST = {"lists/test.txt": b"004\n005\n", **{name: FILES[name] for name in sorted(FILES)[4:]}}


def as_tar(content: dict[str, bytes], top: str = "toykit/TOY/", mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, data in content.items():
            info = tarfile.TarInfo(top + name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def as_zip(content: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, data in content.items():
            opened.writestr(name, data)
    return buffer.getvalue()


def piece(web: Web, part: str, raw: bytes, pinned: bool = True, **changed: Any) -> Piece:
    name = f"{part}.tar"
    web.files[f"/{name}"] = raw
    digest = hashlib.sha256(raw).hexdigest() if pinned else None
    source = Source(name, web.url(f"/{name}"), digest, len(raw), "CC0", "tar", "" if pinned else NO_HASH)
    made = Piece(name, LAYOUT, (("images",), (f"lists/{part}.txt",)), (part,), source, "toykit/TOY", licence="CC0")
    return replace(made, **changed)


class Said:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def task(self, label: str, total: int) -> Any:
        from contextlib import nullcontext

        return nullcontext(lambda n: None)

    def line(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "_sleep", lambda wait: None)
    monkeypatch.setattr(download, "PATIENCE", Patience(tries=2, connect=5, read=5))
    with serve() as running:
        yield running


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(cache=tmp_path / "cache", root=tmp_path / "data", reporter=Said(), offline=False)


def home(root: DataRoot) -> Path:
    return root.home / "toykit" / "TOY"


def tree(folder: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if not name.startswith(".ltbench")}


@pytest.fixture
def needs(web: Web) -> Needs:
    text = b"000 1\n"
    web.files["/list.txt"] = text
    source = Source("list.txt", web.url("/list.txt"), hashlib.sha256(text).hexdigest(), len(text), "MIT")
    return Needs("toy-task", (source,), (piece(web, "train", as_tar(TRAIN)), piece(web, "test", as_tar(TEST))))


def test_all_is_brought_once_and_the_size_told_first(web: Web, root: DataRoot, needs: Needs) -> None:
    assert [item.state for item in items(needs, root)] == ["missing"] * 3
    brought = prepare.prepare(needs, root)
    assert [item.name for item in brought] == ["list.txt", "train.tar", "test.tar"]
    assert tree(home(root)) == TRAIN | TEST
    assert isinstance(root.reporter, Said)
    size = f"{len(as_tar(TRAIN)) / 1000:.1f} kB"
    assert root.reporter.lines[0].startswith("toy-task needs ")
    assert f"train.tar ({size})" in root.reporter.lines[0]
    assert [item.state for item in items(needs, root)] == ["here"] * 3
    # Archives are gone, what was in them is listed, and nothing is asked for again.
    assert sorted(path.name for path in root.cache.rglob("*.tar")) == []
    listed = manifest(needs.pieces[1], home(root)).read_text().splitlines()
    assert listed == sorted(
        (f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in TEST.items()), key=lambda x: x[66:]
    )
    web.asked.clear()
    assert prepare.prepare(needs, root) == []
    assert prepare.prepare(needs, replace(root, offline=True)) == []
    assert web.asked == []


def test_archives_are_kept_on_request(web: Web, root: DataRoot, needs: Needs) -> None:
    prepare.prepare(needs, root, keep_archives=True)
    assert len(list((root.cache / "sources").rglob("*.tar"))) == 2


def test_without_a_data_root_it_goes_into_the_cache(web: Web, root: DataRoot, needs: Needs) -> None:
    bare = replace(root, root=None)
    prepare.prepare(needs, bare)
    assert tree(root.cache / "data" / "toykit" / "TOY") == TRAIN | TEST


def test_what_a_user_has_already_is_completed_where_it_lies(web: Web, root: DataRoot, needs: Needs) -> None:
    own = root.home / "TOY"
    for name, data in TRAIN.items():
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_bytes(data)
    assert [item.state for item in items(needs, root)] == ["missing", "here", "missing"]
    prepare.prepare(needs, root)
    assert tree(own) == TRAIN | TEST
    assert not (root.home / "toykit").exists()


def test_a_users_own_files_are_not_overwritten(web: Web, root: DataRoot, needs: Needs) -> None:
    (home(root) / "images").mkdir(parents=True)
    (home(root) / "images" / "004.jpg").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"test\.tar: 1 files in .* differ from the official ones") as caught:
        prepare.prepare(needs, root)
    assert caught.value.details == ("images/004.jpg",)
    assert (home(root) / "images" / "004.jpg").read_bytes() == b"mine"
    assert [item.state for item in items(needs, root)] == ["here", "here", "missing"]
    prepare.prepare(needs, root, repair=True)
    assert tree(home(root)) == TRAIN | TEST


def test_a_killed_process_leaves_no_half_piece_and_the_next_goes_on(
    web: Web, root: DataRoot, needs: Needs, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, moved = os.replace, []

    def killed(source: Any, target: Any) -> None:
        if ".unpacking" in str(source):
            moved.append(target)
            if len(moved) == 4:
                raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        put(needs.pieces[0], root)
    monkeypatch.setattr(os, "replace", real)
    # What shows the piece is there, yet it is not whole, and that is known.
    assert needs.pieces[0].shown(root)
    assert not is_here(needs.pieces[0], root)
    put(needs.pieces[0], root)
    assert tree(home(root)) == TRAIN
    assert is_here(needs.pieces[0], root)


def test_a_truncated_archive_is_named_and_does_not_stay(web: Web, root: DataRoot) -> None:
    whole = as_tar(TRAIN)
    # No sha256 tells, and the server itself has only the first half.
    cut = piece(web, "train", whole[: len(whole.rstrip(b"\0")) - 700], pinned=False)
    with pytest.raises(UserError, match=r"archive train\.tar is cut short or damaged") as caught:
        put(cut, root)
    assert "was removed" in caught.value.message
    assert not list(root.cache.rglob("*.tar"))
    assert tree(home(root)) == {}
    assert not is_here(cut, root)
    put(piece(web, "train", whole, pinned=False), root)
    assert tree(home(root)) == TRAIN


def test_a_truncated_archive_in_a_mirror_is_left_there(
    web: Web, root: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = piece(web, "train", as_tar(TRAIN), pinned=False)
    assert cut.source is not None
    place = tmp_path / "mirror" / cut.source.layout
    place.parent.mkdir(parents=True)
    place.write_bytes(as_tar(TRAIN)[:900])
    monkeypatch.setenv("LTBENCH_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(UserError, match="it lies in the mirror"):
        put(cut, root)
    assert place.exists()


def test_a_hostile_archive_puts_nothing_in_place(web: Web, root: DataRoot) -> None:
    hostile = piece(web, "train", as_tar(TRAIN | {"../../../../evil": b"x"}))
    with pytest.raises(UserError, match="leads out of its folder"):
        put(hostile, root)
    assert tree(home(root)) == {}
    assert not list(root.home.parent.rglob("evil"))


def test_all_that_fails_is_told_together_and_the_rest_is_done(web: Web, root: DataRoot, needs: Needs) -> None:
    del web.files["/list.txt"]
    del web.files["/train.tar"]
    by_hand = Piece("labels.json", LAYOUT, (("labels.json",),), by_hand="ask the authors")
    with pytest.raises(UserError, match="3 of the 4 things that toy-task needs are not here") as caught:
        prepare.prepare(replace(needs, pieces=(*needs.pieces, by_hand)), root)
    assert [line.split()[0] for line in caught.value.details] == ["list.txt", "train.tar", "labels.json"]
    assert f"ask the authors: {home(root)}" in caught.value.details[2]
    assert tree(home(root)) == TEST


def test_offline_names_everything_that_is_missing(web: Web, root: DataRoot, needs: Needs) -> None:
    with pytest.raises(UserError) as caught:
        prepare.prepare(needs, replace(root, offline=True))
    assert len(caught.value.details) == 3
    assert all("offline" in line and "would lie at" in line for line in caught.value.details)
    assert web.asked == []


def test_a_single_file_is_put_beside(web: Web, root: DataRoot) -> None:
    web.files["/x/train_list.txt"] = b"1\n"
    digest = hashlib.sha256(b"1\n").hexdigest()
    source = Source("train.txt", web.url("/x/train_list.txt"), digest, 2, "CC0")
    put(Piece("train.txt", LAYOUT, (("train.txt",),), source=source), root)
    assert tree(home(root)) == {"train.txt": b"1\n"}


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_data_root_that_cannot_be_written(
    web: Web, root: DataRoot, needs: Needs, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real = Path.mkdir

    def refuse(self: Path, *args: Any, **kwargs: Any) -> None:
        if self.is_relative_to(root.home):
            raise OSError(number, os.strerror(number), str(self))
        real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match="no permission to write") as caught:
        put(needs.pieces[0], root)
    assert str(root.home) in caught.value.message
    assert "--data-root DIR" in caught.value.hint


def test_a_disk_without_room_is_found_before_the_download(
    web: Web, root: DataRoot, needs: Needs, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 100_010_000})
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    with pytest.raises(UserError, match=r"toy-task needs \d.* are free"):
        prepare.prepare(needs, root)
    assert web.asked == []


def _put_in_child(cache: str, data: str, made: Piece, ready: Any, answers: Any) -> None:
    ready.wait(20)
    put(made, DataRoot(cache=Path(cache), root=Path(data), offline=False))
    answers.put(len(list((Path(data) / "toykit" / "TOY" / "images").iterdir())))


def test_two_processes_at_once_do_no_harm(web: Web, root: DataRoot) -> None:
    many = {"lists/train.txt": b"x", **{f"images/{row}.jpg": os.urandom(2000) for row in range(800)}}
    made = piece(web, "train", as_tar(many))
    context = multiprocessing.get_context("spawn")
    ready, answers = context.Event(), context.Queue()
    arguments = (str(root.cache), str(root.home), made, ready, answers)
    children = [context.Process(target=_put_in_child, args=arguments) for _ in range(2)]
    for child in children:
        child.start()
    ready.set()
    assert [answers.get(timeout=60) for _ in children] == [800, 800]
    for child in children:
        child.join(timeout=20)
    assert tree(home(root)) == many
    assert len(web.asked) == 1


# --- check ---------------------------------------------------------------------------------------------------------


def open_toy(root: DataRoot) -> DataSet:
    folder = home(root)

    def part(name: str) -> Part:
        ids = tuple((folder / "lists" / f"{name}.txt").read_text().split())

        def labels() -> Labels:
            import numpy as np

            if not ids:
                raise UserError(f"the toy set: {name}.txt is empty")
            return np.ones((len(ids), 2), dtype=np.int8)

        return Part(name, ids, FileImages([folder / "images" / f"{row}.jpg" for row in ids]), labels)

    return DataSet("toy", ("a", "b"), ("train", "test", "test+odd"), part)


def test_a_whole_data_set_has_no_fault(web: Web, root: DataRoot, needs: Needs) -> None:
    prepare.prepare(needs, root)
    seen = check(needs, [Opened("toy", lambda: open_toy(root))], root)
    assert seen.faults == []
    # Two lists, six images and the single file; each image once.
    assert (seen.hashes, seen.unhashed, seen.images, seen.rows) == (9, 0, 6, 6)


def test_all_faults_are_listed_at_once(web: Web, root: DataRoot, needs: Needs) -> None:
    prepare.prepare(needs, root)
    images = home(root) / "images"
    (images / "000.jpg").write_bytes(b"")
    (images / "001.jpg").write_bytes(FILES["images/001.jpg"][:-200])
    (images / "002.jpg").unlink()
    (images / "003.jpg").write_bytes(photograph(255))
    (images / "004.jpg").write_text("no image")
    (home(root) / "lists" / "test.txt").write_text("004\n005\n006\n")
    fetch(needs.sources[0], root).write_bytes(b"000 1\r\n")
    faults = check(needs, [Opened("toy", lambda: open_toy(root))], root, workers=2).faults
    assert len(faults) == 8
    text = "\n".join(faults)
    for words in (
        "TOY/images/000.jpg is empty (0 bytes)",
        f"not {hashlib.sha256(FILES['images/001.jpg']).hexdigest()} as in its archive and cannot be decoded (",
        "TOY/images/002.jpg is missing",
        f"TOY/images/003.jpg has sha256 {hashlib.sha256(photograph(255)).hexdigest()}, not",
        "as in its archive and cannot be decoded (no image format that Pillow knows)",
        "TOY/images/006.jpg is missing",
        "TOY/lists/test.txt has sha256",
        "its line ends were changed on the way",
    ):
        assert words in text
    assert web.asked == [("/list.txt", ""), ("/train.tar", ""), ("/test.tar", "")]
    (home(root) / "lists" / "test.txt").write_bytes(TEST["lists/test.txt"])
    prepare.prepare(needs, root, repair=True)
    assert check(needs, [Opened("toy", lambda: open_toy(root))], root).faults == []


def test_images_that_came_from_elsewhere_are_opened_all_the_same(web: Web, root: DataRoot, needs: Needs) -> None:
    for name, data in (TRAIN | TEST).items():
        (home(root) / name).parent.mkdir(parents=True, exist_ok=True)
        (home(root) / name).write_bytes(data if name != "images/005.jpg" else b"")
    seen = check(needs, [Opened("toy", lambda: open_toy(root), ("test",))], root)
    assert [fault.split(" (")[0] for fault in seen.faults] == ["list.txt is not here", "TOY/images/005.jpg is empty"]
    assert (seen.unhashed, seen.images) == (2, 2)


def test_nothing_here_is_a_fault_for_each_thing(web: Web, root: DataRoot, needs: Needs) -> None:
    def absent() -> DataSet:
        raise UserError("the toy set is not here", details=["line 3 is bad"])

    faults = check(needs, [Opened("toy", absent)], root).faults
    assert len(faults) == 5
    assert faults[1].startswith("train.tar is not here (images, lists/train.txt missing in ")
    assert faults[3:] == ["the toy set is not here", "line 3 is bad"]
    assert web.asked == []


# --- bundle --------------------------------------------------------------------------------------------------------


def test_a_bundle_is_a_mirror(
    web: Web, root: DataRoot, needs: Needs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "mirror"
    fetch(needs.sources[0], root)
    made = bundle(needs, out, root)
    assert [path.name for path in made] == ["list.txt", "train.tar", "test.tar"]
    # What goes into the bundle does not fill the cache as well.
    assert not list(root.cache.rglob("*.tar"))
    asked = len(web.asked)
    assert bundle(needs, out, replace(root, offline=True)) == made
    assert len(web.asked) == asked
    sums = dict(reversed(line.split("  ")) for line in (out / "SHA256SUMS").read_text().splitlines())
    assert sums == {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in made}
    assert f"{needs.sources[0].layout}: MIT\n" in (out / "LICENCES.txt").read_text()
    monkeypatch.setenv("LTBENCH_MIRROR", str(out))
    other = DataRoot(cache=tmp_path / "other", root=None, offline=True)
    prepare.prepare(needs, other)
    assert tree(other.home / "toykit" / "TOY") == TRAIN | TEST
    assert len(web.asked) == asked


def test_bundles_add_up(web: Web, root: DataRoot, needs: Needs, tmp_path: Path) -> None:
    out = tmp_path / "mirror"
    bundle(replace(needs, pieces=needs.pieces[:1]), out, root)
    bundle(replace(needs, pieces=needs.pieces[1:]), out, root, archives=True)
    assert len((out / "SHA256SUMS").read_text().splitlines()) == 3
    assert len((out / "LICENCES.txt").read_text().splitlines()) == 3
    assert bundle(needs, tmp_path / "small", root, archives=False) == [tmp_path / "small" / needs.sources[0].layout]


def test_a_bundle_names_what_it_lacks(web: Web, root: DataRoot, needs: Needs, tmp_path: Path) -> None:
    del web.files["/train.tar"]
    with pytest.raises(UserError, match="1 of 3 files are not in") as caught:
        bundle(needs, tmp_path / "mirror", root)
    assert "train.tar is not to be had" in caught.value.details[0]
    assert len((tmp_path / "mirror" / "SHA256SUMS").read_text().splitlines()) == 2
    with pytest.raises(UserError, match="needs no file"):
        bundle(Needs("shapes-lt"), tmp_path / "mirror", root)


# --- what is needed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data_set", "part", "names"),
    [
        ("voc2007", "trainval", ["VOCtrainval_06-Nov-2007.tar"]),
        ("voc2007", "test+difficult-unknown", ["VOCtest_06-Nov-2007.tar"]),
        ("voc2012", "train", ["VOCtrainval_11-May-2012.tar"]),
        ("coco2014", "val", ["annotations_trainval2014.zip", "val2014.zip"]),
        ("coco2017", "train+valid-boxes", ["annotations_trainval2017.zip", "train2017.zip"]),
        ("cub", "test", ["CUB_200_2011.tgz"]),
        ("nus-wide", "test", ["ImageList", "Groundtruth", "NUS_WID_Tags", "Flickr"]),
        ("nus-wide", "test+concepts", ["ImageList", "Groundtruth", "Flickr"]),
        ("shapes", "test", []),
    ],
)
def test_a_part_needs_its_own_archives_only(data_set: str, part: str, names: list[str]) -> None:
    assert [piece.name for piece in pieces_of(data_set, [part])] == names


def test_official_pieces_say_what_they_are(root: DataRoot) -> None:
    for item in registry().datasets:
        for each in pieces_of(item.spec.name):
            assert each.layout.data_set == item.spec.name
            assert each.licence or each.by_hand
            assert (each.source is None) == bool(each.by_hand)
            if each.source is not None and each.source.sha256 is None:
                assert each.source.unpinned == archives.NO_HASH
            assert not each.shown(root)


def test_archives_are_pinned_where_a_sha256_was_published() -> None:
    sources = [each.source for item in registry().datasets for each in pieces_of(item.spec.name) if each.source]
    assert sum(source.sha256 is not None and source.unpack is not None for source in sources) == 10
    assert sorted(source.name for source in sources if source.sha256 is None) == ["images.zip", "images2.zip"]
    assert all(source.size for source in sources)


def test_the_shapes_need_nothing_from_elsewhere() -> None:
    assert needs_of("shapes-lt") == Needs("shapes-lt")
    assert parts_of(load_task("shapes-lt")) == {"shapes": ("train-lt", "val", "test")}


def test_a_name_that_is_neither_task_nor_data_set() -> None:
    with pytest.raises(UserError, match=r"unknown task or data set 'coco2041'; did you mean .*'coco2014'"):
        needs_of("coco2041")


def test_the_manifest_is_read_by_sha256sum(web: Web, root: DataRoot, needs: Needs) -> None:
    import shutil
    import subprocess

    if shutil.which("sha256sum") is None:
        pytest.skip("needs the program sha256sum")
    put(needs.pieces[0], root)
    path = manifest(needs.pieces[0], home(root))
    subprocess.run(["sha256sum", "-c", "--quiet", str(path)], cwd=home(root), check=True, timeout=20)


def test_items_are_plain_enough_for_json(root: DataRoot) -> None:
    from ltbench.cli.commands.data import item_json

    found = [item_json(item) for item in items(needs_of("vg-200"), root)]
    assert json.loads(json.dumps(found))[-1]["state"] == "by hand"
