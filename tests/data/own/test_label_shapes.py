"""Labels in the shapes that people have them in: each is read rightly and said, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ltbench.data.own.annotated import read_labels
from ltbench.data.own.table import Row, Shape, Table
from ltbench.plugin import UserError


def read(tmp_path: Path, text: str, name: str = "labels.csv", images: Path | None = None, **shape: Any) -> Table:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return read_labels(path, shape=Shape(**shape), images=images)


def rows(table: Table) -> Mapping[str, tuple[str, ...]]:
    assert (table.problems, table.faults) == ([], [])
    return {row.file: row.labels for row in table.rows}


JOINED = {
    "a.jpg": ("apple", "leaf"),
    "b.jpg": ("leaf", "sky"),
    "c.jpg": ("apple",),
    "d.jpg": (),
    "e.jpg": ("sky", "apple"),
}


@pytest.mark.parametrize(
    ("sep", "said"),
    [
        ("|", ""), (" | ", ""), (";", "joined by ';'"), ("; ", "joined by ';'"), (", ", "joined by ','"),
        (" ", "joined by blanks"), ("/", "joined by '/'"), ("+", "joined by '+'"), (" & ", "joined by '&'"),
    ],
)  # fmt: skip
def test_what_joins_labels_is_noticed_and_said(tmp_path: Path, sep: str, said: str) -> None:
    text = "file,labels\n" + "".join(f'{file},"{sep.join(labels)}"\n' for file, labels in JOINED.items())
    table = read(tmp_path, text)
    assert rows(table) == JOINED
    assert table.class_names == ("apple", "leaf", "sky")
    assert bool(table.notes) == bool(said)
    assert all(said in note for note in table.notes)


@pytest.mark.parametrize("form", [json.dumps, lambda names: str(list(names)), lambda names: f"[{', '.join(names)}]"])
def test_lists_are_read(tmp_path: Path, form: Any) -> None:
    cells = {file: form(labels).replace('"', '""') for file, labels in JOINED.items()}
    table = read(tmp_path, "file,labels\n" + "".join(f'{file},"{cell}"\n' for file, cell in cells.items()))
    assert rows(table) == JOINED
    assert "labels are lists" in table.notes[0]


@pytest.mark.parametrize(
    "names", [["hot dog", "dog", "traffic light"], ["yes/no", "maybe"], ["a, b", "c"], ["R&B", "pop"]]
)
def test_signs_inside_of_names_join_nothing(tmp_path: Path, names: list[str]) -> None:
    table = read(tmp_path, "file,labels\n" + "".join(f'{n}.jpg,"{name}"\n' for n, name in enumerate(names)))
    assert table.class_names == tuple(sorted(names))
    assert table.notes == []


def test_a_separator_that_is_said_is_taken(tmp_path: Path) -> None:
    text = "file,labels\na.jpg,x y\nb.jpg,y z\nc.jpg,x\nd.jpg,z\n"
    assert read(tmp_path, text).class_names == ("x", "y", "z")
    assert read(tmp_path, text, sep="|", names=True).class_names == ("x", "x y", "y z", "z")
    assert read(tmp_path, "file,labels\na.jpg,x#y\n", sep="#").class_names == ("x", "y")


def test_a_second_separator_inside_of_names_is_refused(tmp_path: Path) -> None:
    text = "file,labels\na.jpg,apple;leaf|sky\nb.jpg,leaf|sky\nc.jpg,apple;sun\nd.jpg,leaf;sun|x\n"
    table = read(tmp_path, text)
    assert table.faults == ["';' seems to join classes, as in 'apple;leaf'; --sep ';', or --accept names"]
    assert read(tmp_path, text, names=True).faults == []


def test_names_that_look_alike_are_refused_until_accepted(tmp_path: Path) -> None:
    text = "file,labels\na.jpg,Person\nb.jpg,person\nc.jpg,umbrella\nd.jpg,umbrela\n"
    table = read(tmp_path, text)
    assert table.told() == ["labels.csv: classes 'Person' and 'person' look alike; make them one, or --accept names"]
    assert table.notes == ["classes 'umbrela' and 'umbrella' may be one"]
    with pytest.raises(UserError, match=r"1 problem in labels\.csv"):
        table.raise_problems()
    assert len(read(tmp_path, text, names=True).class_names) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file;split;labels\na.jpg;Train;x|y\nb.jpg;TEST;y\n", "separated by ';'"),
        ("file\tsplit\tlabels\na.jpg\ttraining\tx|y\nb.jpg\ttesting\ty\n", "separated by tabs"),
        ("Image Index,Finding Labels,Subset\na.jpg,x|y,train\nb.jpg,y,test\n", "'Image Index' is read as 'file'"),
        (",File,split,labels\n0,a.jpg,train,x|y\n1,b.jpg,test,y\n", "'File' is read as 'file'"),
        ("file,split,age,labels\na.jpg,train,7,x|y\nb.jpg,test,61,y\n", "column 'age' not used"),
        ("file,split,labels\na.jpg,train,x,y\nb.jpg,test,y\n", "run over several cells, on 1 of 2 lines"),
        ("file,split,label\na.jpg,train,x\nb.jpg,test,y\na.jpg,train,y\n", "one row a label"),
    ],
)
def test_columns_as_people_have_them(tmp_path: Path, text: str, said: str) -> None:
    table = read(tmp_path, text)
    assert rows(table) == {"a.jpg": ("x", "y"), "b.jpg": ("y",)}
    assert [row.split for row in table.rows] == ["train", "test"]
    assert any(said in note for note in table.notes)


def test_columns_that_are_said(tmp_path: Path) -> None:
    text = "image,path,scene,labels,old\na,x/a.jpg,s1,dog,cat\n"
    columns = {"file": "path", "group": "scene", "ignore": "image,old"}
    (row,) = read(tmp_path, text, columns=columns).rows
    assert (row.file, row.labels, row.group) == ("x/a.jpg", ("dog",), "s1")
    assert read(tmp_path, text, columns={"file": "pth"}).problems[0] == (
        1,
        "there is no column 'pth'; did you mean 'path'?",
    )


def test_one_row_a_label_with_values(tmp_path: Path) -> None:
    table = read(tmp_path, "ImageID,LabelName,Confidence\na,x,1\na,y,0\nb,y,1\nb,y,1\nb,x,\n")
    assert [(row.file, row.labels, row.absent, row.unknown) for row in table.rows] == [
        ("a", ("x",), ("y",), ()), ("b", ("y",), (), ("x",)),
    ]  # fmt: skip
    bad = read(tmp_path, "file,label,value\na,x,1\na,x,0\na,y,2\n").problems
    assert bad == [(3, "'x' of 'a' is said twice, and otherwise before"), (4, "value '2' is neither 1, 0 nor empty")]


@pytest.mark.parametrize(
    ("cells", "shape", "expected", "said"),
    [
        ("1,0 0,1", {}, [(("x",), (), ()), (("y",), (), ())], "1 is present, 0 absent"),
        ("1,False 0.0,1.0", {}, [(("x",), (), ()), (("y",), (), ())], "2 columns are classes"),
        ("1, 0,1", {}, [(("x",), (), ("y",)), (("y",), (), ())], "an empty cell unknown"),
        ("1,-1 0,1", {}, [(("x",), ("y",), ()), (("y",), (), ("x",))], "0 unknown, -1 absent"),
        ("1,-1 0,", {}, [(("x",), (), ("y",)), ((), ("x",), ("y",))], "0 absent, -1 unknown"),
        ("1,-1 0,1", {"minus": "unknown"}, [(("x",), (), ("y",)), (("y",), ("x",), ())], "--minus absent"),
    ],
)
def test_one_column_a_class(tmp_path: Path, cells: str, shape: Any, expected: list[Any], said: str) -> None:
    lines = [f"{file},{cell}" for file, cell in zip(("a.jpg", "b.jpg"), cells.split(" "), strict=True)]
    table = read(tmp_path, "\n".join(["file,x,y", *lines]) + "\n", **shape)
    assert table.problems == []
    assert [(row.labels, row.absent, row.unknown) for row in table.rows] == expected
    assert any(said in note for note in table.notes)


def test_a_matrix_keeps_the_order_of_its_columns_and_names_odd_cells(tmp_path: Path) -> None:
    table = read(tmp_path, "file,zebra,age,ant,empty\na.jpg,1,33,0,0\nb.jpg,0,41,2,0\nc.jpg,1,50,1,0\n")
    assert table.class_names == ("zebra", "ant", "empty")
    assert table.problems == [(3, "class 'ant' holds '2', not 1, 0, -1 or nothing")]
    assert "column 'age' not used" in table.notes


def test_a_star_stands_for_all_that_is_not_named(tmp_path: Path) -> None:
    table = read(tmp_path, "file,labels,unknown\na.jpg,x,*\nb.jpg,y,\n")
    assert table.rows[0] == Row(2, "a.jpg", None, ("x",), (), (), True)
    assert read(tmp_path, "file,labels\na.jpg,*\n").problems[0][1].startswith("'*' is no class")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two pictures below a folder."""
    for name in ("a.jpg", "sub/b.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("{photos}/a.jpg {photos}/sub/b.png", "is left out of 2 file names"),
        ("/home/somebody/pics/a.jpg /home/somebody/pics/sub/b.png", "'/home/somebody/pics/' is left out of 2"),
        ("C:\\pics\\a.jpg C:\\pics\\sub\\b.png", "'C:/pics/' is left out of 2"),
        ("photos/a.jpg photos/sub/b.png", "'photos/' is left out of 2"),
        ("../photos/a.jpg ../photos/sub/b.png", "is left out of 2"),
        ("./a.jpg sub\\b.png", ""),
        ("a sub/b", "'.jpg' is added to 1 file name"),
    ],
)
def test_files_are_found_below_the_folder_of_images(tmp_path: Path, photos: Path, form: str, said: str) -> None:
    first, second = form.format(photos=photos).split(" ")
    table = read(tmp_path, f"file,labels\n{first},x\n{second},y\n", images=photos)
    assert rows(table) == {"a.jpg": ("x",), "sub/b.png": ("y",)}
    assert any(said in note for note in table.notes) if said else not table.notes


def test_files_outside_of_the_folder_are_refused(tmp_path: Path, photos: Path) -> None:
    table = read(tmp_path, "file,labels\n/etc/c.jpg,x\n../c.jpg,x\nc.jpg,x\n", images=photos)
    assert [line for line, _ in table.problems] == [2, 3]


COCO = {
    "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 9, "file_name": "sub/b.png"}],
    "categories": [{"id": 2, "name": "dog"}, {"id": 5, "name": "cat"}],
    "annotations": [
        {"image_id": 7, "category_id": 5},
        {"image_id": 7, "category_id": 2},
        {"image_id": 7, "category_id": 2},
    ],
}


def test_coco_json_is_read_with_all_its_classes(tmp_path: Path, photos: Path) -> None:
    table = read(tmp_path, json.dumps(COCO), "instances.json", photos)
    assert rows(table) == {"a.jpg": ("cat", "dog"), "sub/b.png": ()}
    assert (table.class_names, table.has_split) == (("dog", "cat"), False)
    assert table.notes[0] == "instances.json is read as coco; --format says otherwise"


def test_a_folder_of_coco_json_names_the_parts(tmp_path: Path, photos: Path) -> None:
    folder = tmp_path / "annotations"
    folder.mkdir()
    for part, image in (("train", 0), ("val", 1)):
        kept = {**COCO, "images": [COCO["images"][image]], "annotations": COCO["annotations"] if not image else []}
        (folder / f"instances_{part}2017.json").write_text(json.dumps(kept))
        (folder / f"captions_{part}2017.json").write_text("{}")
    table = read_labels(folder, images=photos)
    assert [(row.file, row.split) for row in table.rows] == [("a.jpg", "train"), ("sub/b.png", "test")]
    assert "there is no test part: part val is the test part" in table.notes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"annotations": [{"image_id": 8, "category_id": 2}]}, "names the unknown id 8"),
        ({"categories": [{"id": 2}]}, "lacks 'name'"),
        ({"images": None}, "is not laid out as COCO's"),
    ],
)
def test_other_json_is_one_line(tmp_path: Path, change: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        read(tmp_path, json.dumps({**COCO, **change}), "labels.json")
    with pytest.raises(UserError, match="is no JSON"):
        read(tmp_path, "{", "cut.json")


def test_pascal_voc_is_read_with_its_parts(tmp_path: Path, photos: Path) -> None:
    voc = tmp_path / "VOC"
    (voc / "Annotations").mkdir(parents=True)
    (voc / "ImageSets" / "Main").mkdir(parents=True)
    for name, file, shown in (("a", "a.jpg", ("dog", "dog", "cat")), ("b", "sub/b.png", ()), ("c", "c.jpg", ("cow",))):
        objects = "".join(f"<object><name>{one}</name><part><name>head</name></part></object>" for one in shown)
        (voc / "Annotations" / f"{name}.xml").write_text(
            f"<annotation><filename>{file}</filename>{objects}</annotation>"
        )
    (voc / "ImageSets" / "Main" / "trainval.txt").write_text("a\n")
    (voc / "ImageSets" / "Main" / "test.txt").write_text("b\n")
    table = read_labels(voc, images=photos)
    assert rows(table) == {"a.jpg": ("dog", "cat"), "sub/b.png": ()}
    assert [row.split for row in table.rows] == ["train", "test"]
    assert "1 annotations are in no list of ImageSets/Main and were left out" in table.notes
    (voc / "Annotations" / "a.xml").write_text("<annotation>")
    assert read_labels(voc, images=photos).problems[0][1].startswith("a.xml is damaged (broken XML")


@pytest.mark.parametrize(("prefix", "parts"), [(("", ""), [None, None]), (("train/", "valid/"), ["test", "train"])])
def test_a_folder_a_class(tmp_path: Path, prefix: tuple[str, str], parts: list[str | None]) -> None:
    for name in (f"{prefix[0]}dog/a.jpg", f"{prefix[1]}cat/b.jpg"):
        (tmp_path / "p" / name).parent.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "p" / name)
    table = read_labels(tmp_path / "p", "folder", images=tmp_path / "p")
    assert {row.labels: row.split for row in table.rows} == dict(zip([("cat",), ("dog",)], parts, strict=True))


@pytest.mark.parametrize(("ending", "library"), [("xlsx", "openpyxl"), ("parquet", "pyarrow")])
def test_frames_are_read_through_pandas(tmp_path: Path, ending: str, library: str) -> None:
    pytest.importorskip(library, reason=f"needs {library}")
    import pandas as pd

    frame = pd.DataFrame({"file": ["001", "002"], "x": [1, 0], "y": [np.nan, 1.0]})
    path = tmp_path / f"labels.{ending}"
    frame.to_excel(path) if ending == "xlsx" else frame.to_parquet(path)
    table = read_labels(path)
    assert [(row.file, row.labels, row.unknown) for row in table.rows] == [("001", ("x",), ("y",)), ("002", ("y",), ())]


@pytest.mark.parametrize(("name", "extra"), [("labels.xlsx", "excel"), ("labels.parquet", "parquet")])
def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, extra: str) -> None:
    import pandas as pd

    def fails(*given: object, **named: object) -> None:
        raise ImportError("no such library")

    monkeypatch.setattr(pd, f"read_{extra}", fails)
    with pytest.raises(UserError) as caught:
        read(tmp_path, "x", name)
    assert caught.value.hint == f"pip install 'ltbench[{extra}]'"
