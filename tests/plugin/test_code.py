from __future__ import annotations

from pathlib import Path

import pytest

from ltbench.plugin.code import code_sha256
from ltbench.plugin.errors import PluginError
from ltbench.plugin.manager import Registered, registry
from ltbench.plugin.specs import MethodSpec


def registered(target: str, distribution: str = "lab") -> Registered[MethodSpec]:
    return Registered(MethodSpec(name="ours", target=target, summary="one"), distribution, "0", "lab")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a submodule, a module that imports a neighbour by way of another, and a bystander."""
    folder = tmp_path / "lab"
    (folder / "lab_package" / "deep").mkdir(parents=True)
    for name, text in {
        "lab_package/__init__.py": "",
        "lab_package/method.py": "class Ours: ...\n",
        "lab_package/deep/helper.py": "RATE = 1\n",
        "lab_module.py": "import json\nfrom lab_between import RATE\nclass Ours: ...\n",
        "lab_between.py": "from lab_far.values import RATE\n",
        "lab_far/values.py": "RATE = 1\n",
        "lab_bystander.py": "RATE = 1\n",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.mark.parametrize(
    ("target", "counts", "does_not"),
    [
        ("lab_package.method:Ours", ["lab_package/method.py", "lab_package/deep/helper.py"], ["lab_module.py"]),
        ("lab_module:Ours", ["lab_module.py", "lab_between.py", "lab_far/values.py"], ["lab_bystander.py"]),
    ],
)
def test_what_a_method_is_made_of_counts_and_nothing_else(
    lab: Path, target: str, counts: list[str], does_not: list[str]
) -> None:
    before = code_sha256(registered(target))
    assert code_sha256(registered(target, distribution="other")) == before
    for name in does_not:
        (lab / name).write_text("RATE = 2\n")
        assert code_sha256(registered(target)) == before
    for name in counts:
        text = (lab / name).read_text()
        (lab / name).write_text(text + "# edited\n")
        assert code_sha256(registered(target)) != before
        (lab / name).write_text(text)
    assert code_sha256(registered(target)) == before


def test_where_the_code_lies_plays_no_role(lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_sha256(registered("lab_module:Ours"))
    moved = tmp_path / "elsewhere"
    lab.rename(moved)
    monkeypatch.syspath_prepend(str(moved))
    assert code_sha256(registered("lab_module:Ours")) == before


def test_a_file_that_does_not_parse_counts_by_its_bytes(lab: Path) -> None:
    (lab / "lab_between.py").write_text("def broken(:")
    assert len(code_sha256(registered("lab_module:Ours"))) == 64


def test_code_without_a_source_is_refused() -> None:
    with pytest.raises(PluginError, match="code of method 'ours' cannot be found"):
        code_sha256(registered("sys:implementation"))


def test_every_installed_method_has_a_hash_and_packages_differ() -> None:
    hashes = {item.spec.name: code_sha256(item) for item in registry().methods}
    assert hashes["coop"] == hashes["linear-probe"]
    assert len({hashes["coop"], hashes["lmpt"], hashes["dr"]}) == 3
