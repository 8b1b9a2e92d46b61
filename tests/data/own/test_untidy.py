"""Labels and folders as they come off other people's machines: read rightly, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ltbench.data.own.annotated import read_labels
from ltbench.data.own.images import check_images
from ltbench.data.own.table import Shape, Table
from ltbench.plugin import UserError


def read(path: Path, content: str | bytes, **shape: Any) -> Table:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_labels(path, shape=Shape(**shape))


TWO = {"a.jpg": ("dog", "cat"), "b.jpg": ("dog",)}
MATRIX = {"a.jpg": ("dog",), "b.jpg": ("cat",)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("\ufefffile;labels\na.jpg;dog|cat\nb.jpg;dog\n", TWO, id="mark and semicolons"),
        pytest.param("sep=;\r\nfile;labels\r\na.jpg;dog|cat\r\nb.jpg;dog\r\n", TWO, id="separator for Excel"),
        pytest.param("SEP=\t\nfile\tlabels\na.jpg\tdog|cat\nb.jpg\tdog\n", TWO, id="tabs for Excel"),
        pytest.param("file,labels\na.jpg ,dog | cat \nb.jpg,\u00a0dog\u00a0\n", TWO, id="blanks that do not break"),
        pytest.param("file,labels,,\na.jpg,dog|cat,,\nb.jpg,dog,,\n,,,\n", TWO, id="empty columns and lines"),
        pytest.param("FILE,LABELS\na.jpg,dog|cat\nb.jpg,dog\n", TWO, id="shouted header"),
        pytest.param("labels,file\ndog|cat,a.jpg\ndog,b.jpg\n", TWO, id="columns the other way round"),
        pytest.param('"file","labels"\n"a.jpg","dog|cat"\n"b.jpg","dog"', TWO, id="all in quotes, no last line end"),
        pytest.param("file;dog;cat\na.jpg;1,0;0,0\nb.jpg;0,0;1,0\n", MATRIX, id="decimal commas"),
        pytest.param("file,dog,cat\na.jpg,TRUE,FALSE\nb.jpg,false,True\n", MATRIX, id="words for 1 and 0"),
        pytest.param("file,dog,cat,\na.jpg,Yes,no,\nb.jpg,no,yes,\n", MATRIX, id="yes and no, a last comma"),
    ],
)
def test_tables_of_spreadsheets(tmp_path: Path, text: str, expected: dict[str, tuple[str, ...]]) -> None:
    table = read(tmp_path / "labels.csv", text)
    assert (table.problems, table.faults) == ([], [])
    assert {row.file: row.labels for row in table.rows} == expected


@pytest.mark.parametrize("name", ["2024-01-01", "כלב", "🐶", "Ünïcode", "no. 5", "rock 'n' roll", "C#", "50 %"])
def test_odd_names_stay_as_they_are(tmp_path: Path, name: str) -> None:
    table = read(tmp_path / "labels.csv", f'file,labels\na.jpg,"{name}"\nb.jpg,plain\n')
    assert (table.problems, table.faults) == ([], [])
    assert set(table.class_names) == {name, "plain"}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("file,labels\na.jpg,dog\u200b\n", 2, "cannot be printed"),
        ("file,labels\na.jpg,\u200fdog\n", 2, "cannot be printed"),
        ("file,labels\na.jpg,'dog'\n", 2, "stands in quotes"),
        ("file,labels\na.jpg,dog|\n", 2, "empty label"),
        ("file,dog,cat\na.jpg,1,0\na.jpg,0,1\n", 3, "duplicate file 'a.jpg'"),
        ("file,labels\na.jpg,dog|cat\na.jpg,dog|cat\n", 3, "duplicate file 'a.jpg'"),
        ("sep=;\nfile;labels\na.jpg;dog|\n", 3, "empty label"),
        ("# mine\nfile,labels\na.jpg,dog\n", 1, "column 'file' is missing"),
    ],
)
def test_what_contradicts_itself_is_named_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    problems = read(tmp_path / "labels.csv", text).problems
    assert problems
    assert (problems[0][0], words in problems[0][1]) == (line, True), problems


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("labels.csv", "file\tlabels\na.jpg\tdog\n".encode("utf-16"), "is not UTF-8"),
        ("labels.jsonl", '{"file": "a.jpg", "labels": ["dog"]}\n', "holds JSON"),
        ("labels.xls", "<html><table></table></html>", "cannot be read"),
        ("labels.json", '{"images": [], "categories": [], "annotations": []}', "has no images"),
        ("labels.json", '{"images": [{"id": 1, "file_name": "a.jpg"}], "categories": []}', "lacks 'annotations'"),
    ],
)
def test_files_of_another_kind_are_one_line(tmp_path: Path, name: str, content: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read(tmp_path / name, content)


def test_coco_with_crowds_and_images_without_objects(tmp_path: Path) -> None:
    document = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}, {"id": 3, "file_name": "a.jpg"}],
        "categories": [{"id": 4, "name": "dog "}],
        "annotations": [{"image_id": 1, "category_id": 4, "iscrowd": 1}],
    }
    table = read(tmp_path / "all.json", json.dumps(document))
    assert [(row.file, row.labels) for row in table.rows] == [("a.jpg", ("dog",)), ("b.jpg", ())]
    assert table.problems == [(0, "all.json: duplicate file 'a.jpg'")]


def test_voc_without_objects_or_a_file_name(tmp_path: Path) -> None:
    (tmp_path / "Annotations").mkdir()
    object_ = "<object><name> dog </name><difficult>1</difficult></object>"
    for name, inside in (
        ("a", "<filename>a.jpg</filename>"),
        ("b", object_),
        ("c", f"<filename>c.jpg</filename>{object_}"),
    ):
        (tmp_path / "Annotations" / f"{name}.xml").write_text(f"<annotation>{inside}</annotation>")
    table = read_labels(tmp_path)
    assert [(row.file, row.labels) for row in table.rows] == [("a.jpg", ()), ("b", ("dog",)), ("c.jpg", ("dog",))]


def test_a_folder_a_class_off_a_mac_and_a_network_drive(tmp_path: Path) -> None:
    def paint(name: str, kind: str = "PNG") -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name, kind)

    for name in ("cat/1.JPG", "cat/deep/2.png", "dog/no-ending", ".thumbnails/1.png", "@eaDir/cat/1.jpg"):
        paint(name)
    for name in ("cat/._1.JPG", "__MACOSX/cat/._1.JPG", "dog/.DS_Store", "dog/Thumbs.db"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00")
    table = read_labels(tmp_path, "folder", images=tmp_path)
    assert {row.file: row.labels for row in table.rows} == {
        "cat/1.JPG": ("cat",), "cat/deep/2.png": ("cat",), "dog/no-ending": ("dog",),
    }  # fmt: skip
    assert "1 file without a picture left out (first: dog/Thumbs.db)" in table.notes


def test_pictures_that_are_none_are_called_what_they_are(tmp_path: Path) -> None:
    Image.new("LA", (6, 4)).save(tmp_path / "gray and alpha.png")
    Image.new("1", (6, 4)).save(tmp_path / "bits.png")
    Image.new("RGB", (6, 4)).save(tmp_path / "png inside.jpg", "PNG")
    noted = Image.Exif()
    noted[0x0112] = 99
    Image.new("RGB", (6, 4)).save(tmp_path / "turned nowhere.jpg", exif=noted)
    (tmp_path / "link.jpg").symlink_to(tmp_path / "bits.png")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "page.jpg").write_text("<html>404</html>")
    (tmp_path / "lfs.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (tmp_path / "paper.jpg").write_bytes(b"%PDF-1.4")
    (tmp_path / "folder.jpg").mkdir()
    good, wrong = check_images(tmp_path, sorted(path.name for path in tmp_path.iterdir()))
    assert list(good) == ["bits.png", "gray and alpha.png", "link.jpg", "png inside.jpg", "turned nowhere.jpg"]
    for name, words in {
        "gone.jpg": "is missing", "empty.jpg": "0 bytes", "page.jpg": "a web page", "lfs.png": "git lfs pull",
        "paper.jpg": "PDF", "folder.jpg": "cannot be read",
    }.items():  # fmt: skip
        assert words in wrong.pop(name)
    assert wrong == {}


@pytest.mark.parametrize(
    ("rows", "expected", "words"),
    [
        ([["file", "labels"], [1, "dog"], [None, None], [2, "cat"]], {"1": ("dog",), "2": ("cat",)}, ""),
        ([["My labels", None], ["file", "labels"], ["a.jpg", "dog"]], {}, "column 'file' is missing"),
    ],
)
def test_sheets_with_numbers_gaps_and_merged_titles(
    tmp_path: Path, rows: list[list[Any]], expected: dict[str, tuple[str, ...]], words: str
) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="needs the extra excel")
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    if words:
        book.active.merge_cells("A1:B1")
    book.save(tmp_path / "labels.xlsx")
    table = read_labels(tmp_path / "labels.xlsx")
    assert {row.file: row.labels for row in table.rows} == expected
    assert bool(table.problems) == bool(words)
    assert all(any(words in text for _, text in table.problems) for _ in table.problems[:1])
