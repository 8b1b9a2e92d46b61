"""What answers first: mirrors before origins, and no network when it is off limits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_web import Web
from toy_pieces import COMMIT, TEXT, into_mirror, lines, make, on_github

from ltbench.data.base import DataRoot
from ltbench.data.getting.fetch import fetch
from ltbench.data.getting.notes import cached
from ltbench.data.getting.sources import Source
from ltbench.plugin.errors import UserError


def test_the_mirror_of_the_project_answers(shared: Path, root: DataRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTBENCH_MIRROR", str(shared / "data" / "mirror"))
    known = json.loads((shared / "golden" / "limited-labels" / "data_files.json").read_text())
    (found,) = (each for each in known if (each["repo"], each["path"]) == ("jameslahm/HSPNet", "dataset/cub_train.txt"))
    origin = "github:jameslahm/HSPNet@d3467c907745128ca94bda6a99c04616f37ca28a:dataset/cub_train.txt"
    source = Source("cub_train.txt", origin, found["sha256"], found["bytes"], "none stated")
    offline = replace(root, offline=True)
    path = fetch(source, offline)
    assert path == cached(source, root)
    assert len(path.read_text().splitlines()) == found["rows"]
    # Once here, no mirror is needed.
    monkeypatch.delenv("LTBENCH_MIRROR")
    assert fetch(source, offline).read_bytes() == path.read_bytes()


def test_a_mirror_folder_that_lacks_the_file_is_named_and_the_origin_asked(
    web: Web, root: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mirror").mkdir()
    monkeypatch.setenv("LTBENCH_MIRROR", str(tmp_path / "mirror"))
    web.files["/a.txt"] = TEXT
    source = make(TEXT, web.url("/a.txt"))
    assert fetch(source, root).read_bytes() == TEXT
    assert lines(root).said == [f"list.txt: the mirror {tmp_path / 'mirror'} lacks {source.layout}; asking its origin"]
    missing = make(TEXT, web.url("/b.txt"))
    with pytest.raises(UserError, match="404") as caught:
        fetch(missing, root)
    assert f"the mirror {tmp_path / 'mirror'} lacks {missing.layout}" in caught.value.message


def test_a_mirror_on_the_web_answers_first(web: Web, root: DataRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    source = on_github(path="data/a b.txt")
    web.files[f"/m/github/acme/LTs.x/{COMMIT}/data/a%20b.txt"] = TEXT
    monkeypatch.setenv("LTBENCH_MIRROR", web.url("/m/"))
    assert fetch(source, root).read_bytes() == TEXT
    assert lines(root).said == []


def test_a_mirror_on_the_web_that_lacks_the_file(web: Web, root: DataRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTBENCH_MIRROR", web.url("/m"))
    web.files["/a.txt"] = TEXT
    assert fetch(make(TEXT, web.url("/a.txt")), root).read_bytes() == TEXT
    assert [path for path, _ in web.asked][1:] == ["/a.txt"]
    assert "does not have it (the server answers 404 Not Found); asking its origin" in lines(root).said[0]


@pytest.mark.parametrize("value", ["/nowhere/at/all", "https://", "file:///nowhere/at/all"])
def test_a_mirror_that_is_none(root: DataRoot, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LTBENCH_MIRROR", value)
    with pytest.raises(UserError, match="LTBENCH_MIRROR"):
        fetch(on_github(), root)


def test_offline_touches_no_network(web: Web, root: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web.files["/a.txt"] = TEXT
    source = make(TEXT, web.url("/a.txt"))
    offline = replace(root, offline=True)
    for value in ("", web.address, str(tmp_path)):
        monkeypatch.setenv("LTBENCH_MIRROR", value)
        with pytest.raises(UserError, match=r"list.txt is not here .*offline.* would lie at") as caught:
            fetch(source, offline)
        assert str(cached(source, root)) in caught.value.message
    assert f"the mirror {tmp_path} lacks" in caught.value.message
    assert web.asked == []


@pytest.mark.parametrize(("value", "offline"), [("1", True), ("yes", True), ("0", False), ("", False), ("No", False)])
def test_the_environment_says_offline(monkeypatch: pytest.MonkeyPatch, value: str, offline: bool) -> None:
    monkeypatch.setenv("LTBENCH_OFFLINE", value)
    assert DataRoot().offline is offline


def test_an_archive_in_a_mirror_folder_is_not_copied(
    root: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make(TEXT, "https://example.org/a.zip", unpack="zip")
    place = into_mirror(tmp_path / "mirror", source, TEXT)
    monkeypatch.setenv("LTBENCH_MIRROR", f"file://{tmp_path / 'mirror'}")
    assert fetch(source, root) == place
    assert not cached(source, root).exists()
