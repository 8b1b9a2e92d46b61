"""A user's CSV and class file: everything that is wrong in them is told at once, by line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ltbench.data.own.class_names import look_alikes, name_problem, near_names, read_class_names
from ltbench.data.own.table import read_table
from ltbench.plugin import UserError


def csv(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return path


def problems(path: Path, class_names: Sequence[str] | None = None) -> list[str]:
    """What the table says is wrong, as ``line: text``."""
    return [f"{line}: {text}" for line, text in read_table(path, class_names).problems]


def test_reads_split_labels_and_unknown(tmp_path: Path) -> None:
    table = read_table(csv(tmp_path, "file,split,labels,unknown\na.jpg,train,dog| cat ,\nsub/b.jpg,test,,cat|bird\n"))
    assert [(row.line, row.file, row.split, row.labels, row.unknown) for row in table.rows] == [
        (2, "a.jpg", "train", ("dog", "cat"), ()),
        (3, "sub/b.jpg", "test", (), ("cat", "bird")),
    ]
    assert table.class_names == ("bird", "cat", "dog")
    assert table.has_split
    assert table.problems == []


def test_spreadsheets_are_understood(tmp_path: Path) -> None:
    text = '\ufefffile,labels\r\n"a, b.jpg","dog"\r\n\r\n c.jpg ,"hot ""dog"""\r\n'
    table = read_table(csv(tmp_path, text))
    assert [(row.line, row.file, row.labels) for row in table.rows] == [
        (2, "a, b.jpg", ("dog",)),
        (4, "c.jpg", ('hot "dog"',)),
    ]
    assert not table.has_split


def test_every_bad_row_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = """file,split,labels,unknown
a.jpg,train,dog,
a.jpg,train,dog,
b.jpg,trian,dog,
c.jpg,,dog,
d.jpg,test,dog||cat,
e.jpg,test,dog|dog,
f.jpg,test,dog,dog
g.jpg,test
,test,dog,
../h.jpg,test,dog,
/i.jpg,test,dog,
j.jpg,test,dog,|
"""
    path = csv(tmp_path, text)
    assert problems(path) == [
        "3: duplicate file 'a.jpg' (first on line 2)",
        "4: unknown split 'trian'; it is one of train, val, test",
        "5: empty split",
        "6: empty label in labels 'dog||cat'",
        "7: label 'dog' stands twice in labels",
        "8: 'dog' is both present and unknown",
        "9: 2 cells, the header has 4",
        "10: empty file name",
        "11: file '../h.jpg' is not a path below the folder of images",
        "12: file '/i.jpg' is not a path below the folder of images",
        "13: empty label in unknown '|'",
    ]
    with pytest.raises(UserError) as caught:
        read_table(path).raise_problems()
    assert caught.value.message == "11 problems in labels.csv, listed above; nothing was written"
    assert caught.value.details[0] == "labels.csv line 3: duplicate file 'a.jpg' (first on line 2)"
    assert len(caught.value.details) == 11


def test_the_line_is_that_of_the_file_even_after_line_breaks_in_quotes(tmp_path: Path) -> None:
    assert problems(csv(tmp_path, 'file,labels\n"a\nb.jpg",dog\nc.jpg,x|\n')) == [
        "3: file 'a\\nb.jpg' is not a path below the folder of images",
        "4: empty label in labels 'x|'",
    ]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("file,lables", ["1: unknown column 'lables'; did you mean 'labels'?", "1: column 'labels' is missing"]),
        (
            "begin.jpg,dog",
            [
                "1: column 'file' is missing; the first line names the columns, this one begins with 'begin.jpg'",
                "1: column 'labels' is missing",
            ],
        ),
        (
            "image,path,labels",
            [
                "1: columns 'image' and 'path' could each be 'file'; say --column file=NAME",
                "1: column 'file' is missing",
            ],
        ),
        ("file,labels,labels", ["1: column 'labels' stands twice"]),
    ],
)
def test_wrong_columns_are_named(tmp_path: Path, header: str, expected: list[str]) -> None:
    cells = ",".join(["x"] * len(header.split(",")))
    assert problems(csv(tmp_path, f"{header}\n{cells}\n")) == expected


def test_given_classes_fix_the_columns_and_refuse_others(tmp_path: Path) -> None:
    path = csv(tmp_path, "file,labels\na.jpg,dog\nb.jpg,dgo\nc.jpg,zebra\n")
    (tmp_path / "classes.txt").write_text("dog\n\ncat\n")
    names = read_class_names(tmp_path / "classes.txt")
    assert names == ("dog", "cat")
    assert read_table(path, names).class_names == ("dog", "cat")
    assert problems(path, names) == [
        "3: label 'dgo' is not among the classes; did you mean 'dog'?",
        "4: label 'zebra' is not among the classes",
    ]


@pytest.mark.parametrize(
    ("text", "words"), [("", "is empty"), ("a\nb\na\n", "lists 'a' twice"), ("a|b\n", "has a bar in 'a|b'")]
)
def test_a_bad_class_file_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(UserError, match=r"classes\.txt") as caught:
        read_class_names(tmp_path / "classes.txt")
    assert words in caught.value.message


def test_files_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_table(tmp_path / "no.csv")
    with pytest.raises(UserError, match="is a folder"):
        read_table(tmp_path)
    with pytest.raises(UserError, match=r"labels\.csv is empty"):
        read_table(csv(tmp_path, ""))
    with pytest.raises(UserError, match=r"labels\.csv has no rows"):
        read_table(csv(tmp_path, "file,labels\n\n"))
    with pytest.raises(UserError, match=r"labels\.csv is not UTF-8"):
        read_table(csv(tmp_path, "file,labels\na.jpg,Bär\n", "latin-1"))
    with pytest.raises(UserError, match=r"labels\.csv line 2 is no CSV"):
        read_table(csv(tmp_path, 'file,labels\n"a.jpg"x,dog\n'))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/m/0aa11", "reads like a file path"),
        ("C:\\photos\\dog", "reads like a file path"),
        ("*", "is no class"),
        ("NaN", "for an empty cell"),
        ("<NA>", "for an empty cell"),
        ("a\x00b", "control character"),
        ("either/or", ""),
        ("n/a 2", ""),
        ("nano", ""),
        ("🐶", ""),
    ],
)
def test_names_that_no_class_can_have(tmp_path: Path, name: str, words: str) -> None:
    assert words in name_problem(name)
    assert bool(words) == bool(name_problem(name))
    assert bool(problems(csv(tmp_path, f"file,labels\na.jpg,{name}\n"))) == bool(words)


def test_names_that_look_alike_are_found() -> None:
    names = ["Person", "person", "traffic light", "traffic_light", "caf\u00e9", "cafe\u0301", "dog", "dogs", "cat"]
    assert look_alikes(names) == [
        "'Person' and 'person'",
        "'traffic light' and 'traffic_light'",
        "'caf\u00e9' and 'cafe\u0301'",
    ]
    assert look_alikes(["a", "b", "a b"]) == []
    assert near_names(["umbrella", "umbrela", "grade 1", "grade 2", "horse", "house", "boat", "coat"]) == [
        "'umbrela' and 'umbrella'"
    ]
