"""Records to and from a repository of the hub, against one that is a folder here; nothing reaches the network."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ltbench.plugin.errors import UserError
from ltbench.records.hub import check_name, fetch, propose


class FolderHub:
    """What is used of the hub's client, with a folder as the only repository."""

    root: Path
    proposed: list[str]

    def snapshot_download(self, repo_id: str, *, repo_type: str, allow_patterns: list[str], local_dir: str) -> str:
        assert (repo_id, repo_type) == ("group/boards", "dataset")
        for path in sorted(path for pattern in allow_patterns for path in self.root.glob(pattern)):
            target = Path(local_dir) / path.relative_to(self.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        return local_dir

    def list_repo_files(self, repo_id: str, *, repo_type: str) -> list[str]:
        return [path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()]

    def create_commit(self, repo_id: str, operations: list[Any], **rest: Any) -> Any:
        assert rest["repo_type"] == "dataset"
        assert rest["create_pr"] is True, "nothing is written to a repository without its owner"
        self.proposed[:] = [operation.path_in_repo for operation in operations]
        return SimpleNamespace(pr_url="https://hub.example/group/boards/discussions/1", commit_url="")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[FolderHub]:
    class Here(FolderHub):
        root = tmp_path / "repository"
        proposed = []  # noqa: RUF012 - a client is made anew for each call, what it did is kept here

    for place in ("toy/v1/records/a.json", "toy/v1/logits/0a.safetensors", "notes/private.json"):
        path = Here.root / place
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    monkeypatch.setattr("huggingface_hub.HfApi", Here)
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path / "cache"))
    return Here


def test_records_and_logits_come_into_a_folder_of_leaderboards(hub: type[FolderHub], tmp_path: Path) -> None:
    folder = fetch("group/boards")
    assert folder == tmp_path / "cache" / "hub" / "group" / "boards"
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert found == ["toy/v1/logits/0a.safetensors", "toy/v1/records/a.json"]


def test_a_pull_request_adds_what_is_not_there(hub: type[FolderHub], tmp_path: Path) -> None:
    new = tmp_path / "new.json"
    new.write_text("{}")
    files = {"toy/v1/records/b.json": new, "toy/v1/logits/0a.safetensors": new}
    assert propose("group/boards", files, "a run") == "https://hub.example/group/boards/discussions/1"
    assert hub.proposed == ["toy/v1/records/b.json"]
    with pytest.raises(UserError, match=r"toy/v1/records/a\.json is in group/boards already"):
        propose("group/boards", {"toy/v1/records/a.json": new}, "again")


@pytest.mark.parametrize("name", ["boards", "a/b/c", "https://x/y", "a b/c"])
def test_names_of_repositories_are_checked(name: str) -> None:
    with pytest.raises(UserError, match="is no repository of the hub"):
        check_name(name)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionError("no route"), "cannot be reached, and this machine has no copy"),
        (OSError("something else"), r"cannot be reached \(something else\)"),
    ],
)
def test_without_a_network_one_line_says_so(
    hub: type[FolderHub], monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(*args: Any, **rest: Any) -> str:
        raise error

    monkeypatch.setattr(hub, "snapshot_download", fail)
    with pytest.raises(UserError, match=said):
        fetch("group/boards")


def test_the_client_itself_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("LTBENCH_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="cannot be reached, and this machine has no copy"):
        fetch("group/boards")
