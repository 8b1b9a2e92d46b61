"""Bundles: mirrors for machines without a network."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from small_web import Web
from toy_pieces import TEST, TRAIN, prepare, tree

from ltbench.data.base import DataRoot
from ltbench.data.getting.bundle import bundle
from ltbench.data.getting.fetch import fetch
from ltbench.data.getting.needs import Needs
from ltbench.plugin.errors import UserError


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
    prepare(needs, other)
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
