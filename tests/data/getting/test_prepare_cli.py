"""``ltbench data`` on official archives of the true format, made small, from a mirror folder and without a network."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ltbench.cli import main
from ltbench.data.base import DataRoot
from ltbench.data.getting import archives
from ltbench.plugin.errors import UserError
from ltbench.tasks.groups import GroupRule
from ltbench.tasks.needs import bring_missing, needs_of
from ltbench.tasks.protocols import Full
from ltbench.tasks.task import Task
from ltbench.testing.trees import make_tree

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """``cli("data", "status")`` with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "cache"))
    # Set here, so that it is put back: --offline sets it for the process.
    monkeypatch.setenv("LTBENCH_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def call(*args: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(list(args))
        out, err = capfd.readouterr()
        return code, out, err

    return call


MakeMirror = Callable[[str], Path]


@pytest.fixture
def official_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeMirror:
    """Makes a mirror with a data set's archives, packed as their owners pack them, from a small tree; their pins hold
    for this test."""

    def make(data_set: str) -> Path:
        mirror = pack_mirror(data_set, tmp_path)
        for piece in needs_of(data_set).pieces:
            assert piece.source is not None
            content = (mirror / piece.source.layout).read_bytes()
            monkeypatch.setitem(archives.ARCHIVES, piece.name, (len(content), hashlib.sha256(content).hexdigest()))
        return mirror

    return make


def pack_mirror(data_set: str, work: Path) -> Path:
    """A mirror with the data set's archives, whose pins are others."""
    tree = work / "tree"
    make_tree(data_set, tree, image_size=(40, 30))
    mirror = work / "mirror"
    for piece in needs_of(data_set).pieces:
        assert piece.source is not None
        target = mirror / piece.source.layout
        target.parent.mkdir(parents=True, exist_ok=True)
        if piece.source.unpack == "tar":
            _pack_voc(tree, target, test=piece.parts == ("test",))
        else:
            top = piece.name.removesuffix(".zip")
            _pack_coco(tree / "coco", target, "annotations" if top.startswith("annotations") else top)
    return mirror


def _pack_voc(tree: Path, target: Path, test: bool) -> None:
    """The archive of ``test`` has the photographs of ``test`` only, and the other has the rest."""
    kit = tree / "VOCdevkit" / "VOC2007"
    tested = set((kit / "ImageSets" / "Main" / "test.txt").read_text().split())
    with tarfile.open(target, "w") as tar:
        for path in sorted(kit.rglob("*")):
            inside = path.stem in tested if path.suffix in (".jpg", ".xml") else path.stem.endswith("test")
            if path.is_file() and inside == test:
                tar.add(path, f"VOCdevkit/VOC2007/{path.relative_to(kit)}")


def _pack_coco(coco: Path, target: Path, top: str) -> None:
    with zipfile.ZipFile(target, "w") as opened:
        for path in sorted((coco / top).rglob("*")):
            if path.is_file():
                opened.write(path, str(path.relative_to(coco)))


@pytest.mark.parametrize("data_set", ["voc2007", "coco2017"])
def test_from_archives_to_a_verified_data_set(
    cli: Cli, official_mirror: MakeMirror, monkeypatch: pytest.MonkeyPatch, data_set: str
) -> None:
    monkeypatch.setenv("LTBENCH_MIRROR", str(official_mirror(data_set)))
    code, out, err = cli("data", "status", data_set)
    assert code == 0
    assert "missing" in out
    assert f"→ ltbench data prepare {data_set}" in err
    code, out, err = cli("data", "prepare", data_set, "--data-root", "mine")
    assert (code, out.partition(";")[0]) == (0, f"All that {data_set} needs is here now"), err
    assert f"{data_set} needs " in err
    code, out, err = cli("data", "verify", data_set, "--data-root", "mine")
    assert (code, out.splitlines()[-1]) == (0, "No fault."), out + err
    assert "images opened" in out
    monkeypatch.delenv("LTBENCH_MIRROR")
    code, out, _ = cli("data", "prepare", data_set, "--data-root", "mine", "--json")
    document = json.loads(out)
    assert document["brought"] == []
    assert {item["state"] for item in document["items"]} == {"here"}


def test_faults_are_listed_and_repaired(
    cli: Cli, official_mirror: MakeMirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = official_mirror("voc2007")
    monkeypatch.setenv("LTBENCH_MIRROR", str(mirror))
    assert cli("data", "prepare", "voc2007", "--data-root", "mine")[0] == 0
    pictures = sorted((tmp_path / "mine" / "VOCdevkit" / "VOC2007" / "JPEGImages").iterdir())
    pictures[0].write_bytes(b"")
    pictures[-1].unlink()
    code, out, _ = cli("data", "verify", "voc2007", "--data-root", "mine")
    lines = out.splitlines()
    assert code == 1
    assert lines[0] == f"VOC2007/JPEGImages/{pictures[0].name} is empty (0 bytes)"
    assert lines[1] == f"VOC2007/JPEGImages/{pictures[-1].name} is missing"
    assert lines[-1] == "2 faults → ltbench data prepare voc2007 --repair"
    assert cli("data", "prepare", "voc2007", "--data-root", "mine", "--repair")[0] == 0
    code, out, _ = cli("data", "verify", "voc2007", "--data-root", "mine", "--json")
    assert code == 0
    assert json.loads(out)["faults"] == []


def test_a_truncated_official_archive(
    cli: Cli, official_mirror: MakeMirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = official_mirror("voc2007")
    monkeypatch.setenv("LTBENCH_MIRROR", str(mirror))
    (archive,) = mirror.rglob("VOCtest_06-Nov-2007.tar")
    archive.write_bytes(archive.read_bytes()[:9000])
    code, _, err = cli("data", "prepare", "voc2007", "--data-root", "mine")
    assert code == 2
    assert "error: VOCtest_06-Nov-2007.tar from the mirror" in err.splitlines()[-1]
    assert "it is cut short (9000 of " in err.splitlines()[-1]
    # The other archive is in place all the same.
    code, out, _ = cli("data", "status", "voc2007", "--data-root", "mine", "--json")
    assert [item["state"] for item in json.loads(out)["items"]] == ["here", "missing"]


def test_an_archive_that_is_not_the_pinned_one(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = pack_mirror("voc2007", tmp_path)
    monkeypatch.setenv("LTBENCH_MIRROR", str(mirror))
    (archive,) = mirror.rglob("VOCtest_06-Nov-2007.tar")
    code, _, err = cli("data", "prepare", "voc2007", "--data-root", "mine")
    assert code == 2
    assert hashlib.sha256(archive.read_bytes()).hexdigest() in err
    assert "6836888e2e01dca84577a849d339fa4f73e1e4f135d312430c4856b5609b4892" in err
    assert not list((tmp_path / "mine").rglob("*.jpg"))


def test_a_mirror_that_lacks_an_archive(
    cli: Cli, official_mirror: MakeMirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = official_mirror("coco2017")
    monkeypatch.setenv("LTBENCH_MIRROR", str(mirror))
    (archive,) = mirror.rglob("val2017.zip")
    archive.unlink()
    code, _, err = cli("data", "prepare", "coco2017", "--offline")
    assert code == 2
    assert f"the mirror {mirror} lacks web/images.cocodataset.org/zips/val2017.zip" in err.splitlines()[-1]


def test_bundle_on_one_machine_prepare_on_another(
    cli: Cli, official_mirror: MakeMirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTBENCH_MIRROR", str(official_mirror("voc2007")))
    code, out, err = cli("data", "bundle", "voc2007", "--out", "stick")
    assert code == 0, err
    assert "Use it: LTBENCH_MIRROR=stick ltbench data prepare voc2007" in out
    shutil.rmtree(tmp_path / "mirror")
    monkeypatch.setenv("LTBENCH_MIRROR", "stick")
    assert cli("data", "prepare", "voc2007")[0] == 0
    assert cli("data", "verify", "voc2007")[0] == 0
    assert (tmp_path / "cache" / "data" / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / "test.txt").is_file()


@pytest.mark.parametrize("command", ["status", "prepare"])
def test_a_task_that_needs_nothing(cli: Cli, command: str) -> None:
    code, out, err = cli("data", command, "shapes-lt")
    assert code == 0
    assert "shapes-lt needs no files from elsewhere." in out + err


def test_harmed_scenes_are_told_and_stay_until_they_are_repaired(cli: Cli, tmp_path: Path) -> None:
    assert cli("data", "verify", "shapes-micro")[0] == 0
    file = tmp_path / "cache" / "shapes" / "v1" / "micro-test" / "images.npy"
    sound, stamp = file.read_bytes(), file.stat().st_mtime_ns
    harmed = sound[:-1] + bytes([sound[-1] ^ 255])
    file.write_bytes(harmed)
    os.utime(file, ns=(stamp, stamp + 1))
    code, out, _ = cli("data", "verify", "shapes-micro")
    assert code == 1
    assert "micro-test" in out
    assert "damaged or incomplete" in out
    assert "1 fault → ltbench data prepare shapes-micro --repair" in out
    assert file.read_bytes() == harmed
    assert cli("data", "prepare", "shapes-micro", "--repair")[0] == 0
    assert file.read_bytes() == sound
    assert cli("data", "verify", "shapes-micro")[0] == 0


@pytest.mark.parametrize("command", [("status",), ("prepare",), ("verify",), ("bundle", "--out", "x")], ids=str)
def test_an_unknown_name(cli: Cli, command: tuple[str, ...]) -> None:
    code, _, err = cli("data", command[0], "coco2071", *command[1:])
    assert code == 2
    assert err.count("\n") == 1
    assert "did you mean" in err


def toy_task(test_part: str) -> Task:
    """A task on VOC2007 that no plugin registers."""
    return Task(
        name="toy-voc",
        version=1,
        family="custom",
        title="toy",
        data_set="voc2007",
        train_part="trainval",
        test_part=test_part,
        classes=("cat", "dog"),
        protocol=Full(),
        groups=GroupRule(),
    )


def test_a_run_brings_what_it_lacks_and_no_more(
    official_mirror: MakeMirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = official_mirror("voc2007")
    root = DataRoot(cache=tmp_path / "cache", root=tmp_path / "mine", offline=False)
    offline = replace(root, offline=True)
    lists = tmp_path / "mine" / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main"
    bring_missing(toy_task("test"), offline)
    assert not lists.exists()
    # A mirror folder needs no network.
    monkeypatch.setenv("LTBENCH_MIRROR", str(mirror))
    bring_missing(toy_task("val"), offline)
    assert (lists / "trainval.txt").exists()
    assert not (lists / "test.txt").exists()
    bring_missing(toy_task("test"), root)
    assert (lists / "test.txt").exists()
    # Now the mirror is of no use, and is not asked.
    monkeypatch.setenv("LTBENCH_MIRROR", "/nowhere")
    bring_missing(toy_task("test"), root)


def test_all_who_ask_are_told_of_an_archive_that_is_partly_unpacked(
    cli: Cli, official_mirror: MakeMirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTBENCH_MIRROR", str(official_mirror("voc2007")))
    data = tmp_path / "mine"
    monkeypatch.setenv("LTBENCH_DATA", str(data))
    real = os.replace

    def killed(source: Any, target: Any) -> None:
        if "VOCtest_06-Nov-2007.tar.unpacking" in str(source) and "JPEGImages" in str(source):
            # All but the images is in its place, and one image.
            real(source, target)
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        assert cli("data", "prepare", "voc2007")[0] == 130
    begun = "VOCtest_06-Nov-2007.tar only partly unpacked"
    _, out, _ = cli("data", "status", "--json")
    (found,) = [each for each in json.loads(out)["data"] if each["name"] == "voc2007"]
    assert (found["state"], found["detail"], found["next"]) == ("partly", begun, "ltbench data prepare voc2007")
    _, out, _ = cli("data", "status", "voc2007", "--json")
    assert [item["state"] for item in json.loads(out)["items"]] == ["here", "missing"]
    _, out, _ = cli("doctor", "--json")
    assert any(begun in check["found"] for check in json.loads(out))
    # A run does not take it for a user's own.
    bring_missing(toy_task("test"), DataRoot(cache=tmp_path / "cache", root=data, offline=False))
    assert cli("data", "verify", "voc2007")[0] == 0


def test_a_users_own_tree_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It opens, so nothing is downloaded, though official files are not there."""
    make_tree("voc2007", tmp_path / "mine", image_size=(40, 30))
    (tmp_path / "mine" / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / "val.txt").unlink()
    monkeypatch.setenv("LTBENCH_MIRROR", "/nowhere")
    root = DataRoot(cache=tmp_path / "cache", root=tmp_path / "mine", offline=False)
    bring_missing(toy_task("test"), root)
    with pytest.raises(UserError, match="/nowhere"):
        bring_missing(toy_task("val"), root)
