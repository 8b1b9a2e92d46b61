"""Sources: where they come from, what answers first, and what is said when they cannot be had."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_web import Web, serve

from ltbench.data.base import DataRoot
from ltbench.data.getting import download as download_module
from ltbench.data.getting import fetch as fetch_module
from ltbench.data.getting.download import Patience
from ltbench.data.getting.hashes import likely_cause
from ltbench.data.getting.sources import Source, cached, fetch
from ltbench.plugin.errors import UserError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TEXT = b"2008_000008 1 0\n2008_000015 0 1\n" * 40_000


class Lines:
    """A reporter that keeps what is said and how far jobs went."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.jobs: dict[str, list[int]] = {}

    def task(self, label: str, total: int) -> Any:
        from contextlib import contextmanager

        @contextmanager
        def job() -> Iterator[Callable[[int], None]]:
            self.jobs[label] = [0, total]
            yield lambda n: self.jobs[label].__setitem__(0, self.jobs[label][0] + n)

        return job()

    def line(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serve() as running:
        yield running


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nobody waits; what would have been waited for is kept."""
    kept: list[float] = []
    monkeypatch.setattr(download_module, "_sleep", kept.append)
    monkeypatch.setattr(download_module, "PATIENCE", Patience(tries=3, connect=5, read=5))
    return kept


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(cache=tmp_path / "cache", root=None, reporter=Lines(), offline=False)


def lines(root: DataRoot) -> Lines:
    assert isinstance(root.reporter, Lines)
    return root.reporter


def make(content: bytes, origin: str, **changed: Any) -> Source:
    pinned = Source("list.txt", origin, hashlib.sha256(content).hexdigest(), len(content), "CC0")
    return replace(pinned, **changed)


def on_github(content: bytes = TEXT, path: str = "data/voc/list.txt") -> Source:
    return make(content, f"github:acme/LTs.x@{COMMIT}:{path}")


def into_mirror(folder: Path, source: Source, content: bytes) -> Path:
    place = folder / source.layout
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    return place


def test_where_a_source_lies() -> None:
    source = on_github(path="data/a b+c.txt")
    assert source.layout == f"github/acme/LTs.x/{COMMIT}/data/a b+c.txt"
    assert source.url == f"https://raw.githubusercontent.com/acme/LTs.x/{COMMIT}/data/a%20b%2Bc.txt"
    other = make(b"", "https://example.org:8080/x/a%20b.zip", unpack="zip")
    assert other.layout == "web/example.org_8080/x/a b.zip"
    assert other.url == other.origin


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "github:acme/x@main:data.txt"},
        {"origin": f"github:acme/x@{COMMIT}:../data.txt"},
        {"origin": f"github:acme/x@{COMMIT}:/data.txt"},
        {"origin": "ftp://example.org/x"},
        {"origin": "https://example.org/"},
        {"origin": "https://example.org/a/%2e%2e/b"},
        {"origin": "https://example.org/a?b=1"},
        {"origin": "data.txt"},
        {"sha256": "abc"},
        {"sha256": None},
        {"unpinned": "nobody knows"},
        {"name": "../x"},
        {"size": -1},
        {"unpack": "rar"},
    ],
    ids=str,
)
def test_malformed_sources_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="source"):
        replace(on_github(), **wrong)


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


@pytest.mark.parametrize(
    ("offered", "cause"),
    [
        (TEXT[:-5], f"it is cut short ({len(TEXT) - 5} of {len(TEXT)} bytes)"),
        (TEXT[::-1], "another draw or version of the same list"),
        (TEXT + b"x", "another version of the file"),
        (TEXT.replace(b"\n", b"\r\n"), "its line ends were changed"),
        (b"<!DOCTYPE html><title>Please log in</title>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"", "it is empty"),
    ],
    ids=["cut", "other", "longer", "line ends", "login", "lfs", "empty"],
)
@pytest.mark.parametrize("place", ["mirror", "web"])
def test_a_wrong_hash_shows_both_and_the_likely_cause(
    web: Web, root: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offered: bytes, cause: str, place: str
) -> None:
    web.files["/a.txt"] = offered
    source = make(TEXT, web.url("/a.txt"))
    if place == "mirror":
        into_mirror(tmp_path / "mirror", source, offered)
        monkeypatch.setenv("LTBENCH_MIRROR", str(tmp_path / "mirror"))
    with pytest.raises(UserError) as caught:
        fetch(source, root)
    message = caught.value.message
    assert cause in message
    assert hashlib.sha256(offered).hexdigest() in message
    assert str(source.sha256) in message
    assert ("mirror" in message) == (place == "mirror")
    # A mirror that answers wrongly is an error, never passed over in silence.
    assert len(web.asked) == (1 if place == "web" else 0)
    assert not [each for each in root.cache.rglob("*") if each.is_file() and each.suffix != ".lock"]


def test_line_ends_that_belong_to_the_file_and_were_taken_away(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\nb\n")
    wanted = hashlib.sha256(b"a\r\nb\r\n").hexdigest()
    assert "line ends" in likely_cause(tmp_path / "a.txt", wanted, 6)
    assert "cut short" in likely_cause(tmp_path / "a.txt", "0" * 64, 6)


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


def test_a_harmed_file_in_the_cache_is_brought_again_and_named(web: Web, root: DataRoot) -> None:
    web.files["/a.txt"] = TEXT
    source = make(TEXT, web.url("/a.txt"))
    path = fetch(source, root)
    path.write_bytes(TEXT[:100])
    with pytest.raises(UserError, match="cut short") as caught:
        fetch(source, replace(root, offline=True))
    assert str(source.sha256) in caught.value.message
    assert fetch(source, root).read_bytes() == TEXT
    assert "list.txt in the cache is not what it was" in lines(root).said[-1]


def test_an_unpinned_file_is_held_to_its_first_arrival(web: Web, root: DataRoot) -> None:
    web.files["/a.txt"] = TEXT
    source = make(TEXT, web.url("/a.txt"), sha256=None, size=None, unpinned="the authors name no hash")
    path = fetch(source, root)
    note = json.loads((path.parent / "a.txt.unpinned.json").read_text())
    assert note == {
        "name": "list.txt",
        "from": web.url("/a.txt"),
        "sha256": hashlib.sha256(TEXT).hexdigest(),
        "unpinned": "the authors name no hash",
    }
    path.write_bytes(b"harmed")
    with pytest.raises(UserError, match="that of its first arrival"):
        fetch(source, replace(root, offline=True))
    web.files["/a.txt"] = b"new"
    assert fetch(source, root).read_bytes() == b"new"
    assert "is not pinned, and not what it was" in lines(root).said[-1]


def test_an_unpinned_file_put_into_the_cache_by_hand(root: DataRoot) -> None:
    source = make(TEXT, "https://example.org/a.txt", sha256=None, unpinned="only on request")
    place = cached(source, root)
    place.parent.mkdir(parents=True)
    place.write_bytes(TEXT)
    assert fetch(source, replace(root, offline=True)) == place
    place.write_bytes(b"other")
    with pytest.raises(UserError, match="first arrival"):
        fetch(source, replace(root, offline=True))


def test_an_archive_in_a_mirror_folder_is_not_copied(
    root: DataRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make(TEXT, "https://example.org/a.zip", unpack="zip")
    place = into_mirror(tmp_path / "mirror", source, TEXT)
    monkeypatch.setenv("LTBENCH_MIRROR", f"file://{tmp_path / 'mirror'}")
    assert fetch(source, root) == place
    assert not cached(source, root).exists()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_that_cannot_be_written(
    web: Web, root: DataRoot, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    web.files["/a.txt"] = TEXT
    source = make(TEXT, web.url("/a.txt"))
    real = Path.open

    def refuse(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        # Whoever runs the tests may be allowed everything: the system's answer is what is tested.
        if self.suffix == ".part" and mode != "rb":
            raise OSError(number, os.strerror(number), str(self))
        return real(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError) as caught:
        fetch(source, root)
    full = number == errno.ENOSPC
    assert ("the disk is full" if full else "no permission to write") in caught.value.message
    assert full or "LTBENCH_CACHE" in caught.value.hint
    monkeypatch.setattr(Path, "open", real)
    assert fetch(source, root).read_bytes() == TEXT


def test_a_cache_folder_that_cannot_be_made(root: DataRoot, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *args: Any, **kwargs: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match="no permission to write") as caught:
        fetch(make(TEXT, web.url("/a.txt")), root)
    assert "LTBENCH_CACHE" in caught.value.hint


def test_a_disk_without_room(web: Web, root: DataRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    web.files["/a.txt"] = TEXT
    usage = type("Usage", (), {"free": 50_000_000})
    monkeypatch.setattr(fetch_module.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(UserError, match=r"list.txt needs 1\.3 MB on the disk of .* 50\.0 MB are free"):
        fetch(make(TEXT, web.url("/a.txt")), root)
    assert web.asked == []


def _fetch_in_child(cache: str, url: str, sha256: str, size: int, ready: Any, answers: Any) -> None:
    ready.wait(20)
    source = Source("list.txt", url, sha256, size, "CC0")
    answers.put(hashlib.sha256(fetch(source, DataRoot(cache=Path(cache), root=None)).read_bytes()).hexdigest())


def test_several_processes_at_once_bring_it_once(web: Web, root: DataRoot) -> None:
    content = os.urandom(8 << 20)
    web.files["/a.bin"] = content
    source = make(content, web.url("/a.bin"))
    context = multiprocessing.get_context("spawn")
    ready, answers = context.Event(), context.Queue()
    arguments = (str(root.cache), source.url, source.sha256, source.size, ready, answers)
    children = [context.Process(target=_fetch_in_child, args=arguments) for _ in range(3)]
    for child in children:
        child.start()
    ready.set()
    found = [answers.get(timeout=60) for _ in children]
    for child in children:
        child.join(timeout=20)
    assert found == [source.sha256] * 3
    assert len(web.asked) == 1
