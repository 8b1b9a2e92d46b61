"""One file from a server that stumbles: downloads go on, wait, and are given up."""

from __future__ import annotations

import os

import pytest
from small_web import Web
from toy_pieces import TEXT, lines, make

from ltbench.data.base import DataRoot
from ltbench.data.getting import fetch as fetch_module
from ltbench.data.getting.fetch import fetch
from ltbench.data.getting.notes import cached
from ltbench.plugin.errors import UserError


def test_a_file_is_downloaded_once(web: Web, root: DataRoot) -> None:
    web.files["/a/list.txt"] = TEXT
    source = make(TEXT, web.url("/a/list.txt"))
    path = fetch(source, root)
    assert path.read_bytes() == TEXT
    assert fetch(source, root) == path
    assert len(web.asked) == 1
    assert sorted(each.name for each in path.parent.iterdir()) == ["list.txt"]
    assert lines(root).jobs == {"downloading list.txt (kB)": [len(TEXT) // 1000, len(TEXT) // 1000]}


def test_a_cut_connection_goes_on_where_it_stopped(web: Web, root: DataRoot, waits: list[float]) -> None:
    content = os.urandom(5 << 20)
    web.files["/a.bin"] = content
    web.script = ["cut", "cut"]
    assert fetch(make(content, web.url("/a.bin")), root).read_bytes() == content
    assert [bool(wanted) for _, wanted in web.asked] == [False, True, True]
    assert len(waits) == 2
    assert "trying again" in lines(root).said[0]


def test_a_download_goes_on_in_the_next_process(web: Web, root: DataRoot) -> None:
    content = os.urandom(3 << 20)
    web.files["/a.bin"] = content
    web.script = ["cut", "500", "500"]
    source = make(content, web.url("/a.bin"))
    with pytest.raises(UserError, match=r"could not be downloaded .* answers 500") as caught:
        fetch(source, root)
    assert "what has arrived is kept" in caught.value.hint
    assert not cached(source, root).exists()
    web.asked.clear()
    assert fetch(source, root).read_bytes() == content
    ((_, wanted),) = web.asked
    assert int(wanted.removeprefix("bytes=").removesuffix("-")) > 1 << 20


def test_a_part_of_another_version_is_not_continued(web: Web, root: DataRoot) -> None:
    old, new = os.urandom(2 << 20), os.urandom(2 << 20)
    web.files["/a.bin"] = old
    web.script = ["cut", "500", "500"]
    unpinned = make(new, web.url("/a.bin"), sha256=None, unpinned="changes daily")
    with pytest.raises(UserError):
        fetch(unpinned, root)
    web.files["/a.bin"] = new
    assert fetch(unpinned, root).read_bytes() == new


@pytest.mark.parametrize("tags", [True, False])
def test_a_harmed_part_costs_one_more_download(web: Web, root: DataRoot, tags: bool) -> None:
    content = os.urandom(3 << 20)
    web.files["/a.bin"] = content
    web.script = ["cut", "500", "500"]
    web.tags = tags
    source = make(content, web.url("/a.bin"))
    with pytest.raises(UserError):
        fetch(source, root)
    (part,) = (each for each in cached(source, root).parent.iterdir() if each.suffix == ".part")
    part.write_bytes(b"\0" * part.stat().st_size)
    web.asked.clear()
    assert fetch(source, root).read_bytes() == content
    assert [bool(wanted) for _, wanted in web.asked] == [True, False]


def test_a_server_without_ranges_starts_again(web: Web, root: DataRoot) -> None:
    web.files["/a.txt"] = TEXT
    web.script = ["cut"]
    web.ranges = False
    assert fetch(make(TEXT, web.url("/a.txt")), root).read_bytes() == TEXT
    assert len(web.asked) == 2


def test_a_whole_part_is_not_asked_for_again(web: Web, root: DataRoot) -> None:
    web.files["/a.txt"] = TEXT
    source = make(TEXT, web.url("/a.txt"))
    with pytest.MonkeyPatch.context() as patch:
        # The process ends between the last byte and the hash.
        patch.setattr(fetch_module, "sha256_of", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fetch(source, root)
    assert fetch(source, root).read_bytes() == TEXT
    assert [wanted for _, wanted in web.asked] == ["", f"bytes={len(TEXT)}-"]


def test_a_busy_server_says_how_long_to_wait(web: Web, root: DataRoot, waits: list[float]) -> None:
    web.files["/a.txt"] = TEXT
    web.script = ["429", "500"]
    fetch(make(TEXT, web.url("/a.txt")), root)
    assert 7 <= waits[0] <= 7 * 1.25
    assert 2 <= waits[1] <= 2 * 1.25


def test_a_server_that_always_fails_is_given_up(web: Web, root: DataRoot, waits: list[float]) -> None:
    web.script = ["500"] * 20
    with pytest.raises(UserError, match="500"):
        fetch(make(TEXT, web.url("/a.txt")), root)
    assert len(web.asked) == 3
    assert len(waits) == 2


@pytest.mark.parametrize(("script", "said"), [([], "404"), (["403"], "403")])
def test_a_refusal_is_not_repeated(web: Web, root: DataRoot, script: list[str], said: str) -> None:
    web.script = script
    source = make(TEXT, web.url("/gone.txt"))
    with pytest.raises(UserError, match=f"is not to be had from .*{said}") as caught:
        fetch(source, root)
    assert len(web.asked) == 1
    assert source.layout in caught.value.hint


def test_nobody_listens(root: DataRoot, web: Web) -> None:
    address = web.address.rpartition(":")[0] + ":9"
    with pytest.raises(UserError, match=r"could not be downloaded .*[Rr]efused"):
        fetch(make(TEXT, f"{address}/a.txt"), root)


def test_another_size_is_refused_before_it_is_downloaded(web: Web, root: DataRoot) -> None:
    web.files["/a.bin"] = bytes(17 << 20)
    with pytest.raises(UserError, match=f"offers a file of {17 << 20} bytes where {2 << 20} are expected"):
        fetch(make(bytes(2 << 20), web.url("/a.bin")), root)
    assert list((root.cache / "sources").rglob("*.bin*")) == []
