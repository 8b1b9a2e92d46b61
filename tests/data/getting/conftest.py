"""Fixtures for getting data: a server that nobody waits for, folders of one's own, and what a toy task needs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_web import Web, serve
from toy_pieces import TEST, TRAIN, Lines, as_tar, piece

from ltbench.data.base import DataRoot
from ltbench.data.getting import download
from ltbench.data.getting.download import Patience
from ltbench.data.getting.needs import Needs
from ltbench.data.getting.sources import Source


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nobody waits; what would have been waited for is kept."""
    kept: list[float] = []
    monkeypatch.setattr(download, "_sleep", kept.append)
    monkeypatch.setattr(download, "PATIENCE", Patience(tries=3, connect=5, read=5))
    return kept


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> Iterator[Web]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serve() as running:
        yield running


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(cache=tmp_path / "cache", root=tmp_path / "data", reporter=Lines(), offline=False)


@pytest.fixture
def needs(web: Web) -> Needs:
    text = b"000 1\n"
    web.files["/list.txt"] = text
    source = Source("list.txt", web.url("/list.txt"), hashlib.sha256(text).hexdigest(), len(text), "MIT")
    return Needs("toy-task", (source,), (piece(web, "train", as_tar(TRAIN)), piece(web, "test", as_tar(TEST))))
