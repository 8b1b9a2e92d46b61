"""What methods say about themselves without being imported is what they say when they are."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ltbench.method.facts import asked, facts_of, write_facts, written
from ltbench.plugin.manager import CORE_DISTRIBUTION, registry
from ltbench.plugin.specs import MethodSpec

OWN = [item.spec for item in registry().methods if item.distribution == CORE_DISTRIBUTION]
CODE = """
from pydantic import Field

from ltbench.method import Method, MethodConfig, Needs


class Fake(Method):
    class Config(MethodConfig):
        margin: float = Field(1.0, description="logits")

    def needs(self):
        return Needs(input="region")

    def stages(self, context):
        raise NotImplementedError
"""


@pytest.mark.parametrize("spec", OWN, ids=lambda spec: spec.name)
def test_our_own_are_written_down(spec: MethodSpec) -> None:
    assert written(spec) == asked(spec), "after a change to a method: python -m ltbench.method.facts"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MethodSpec:
    package = tmp_path / "fake_facts"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "method.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("fake_facts", "fake_facts.method"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return MethodSpec(name="fake", target="fake_facts.method:Fake", summary="none")


def test_what_other_code_wrote_down_is_not_believed(fake: MethodSpec, tmp_path: Path) -> None:
    assert written(fake) is None
    (path,) = write_facts([fake])
    assert path == tmp_path / "fake_facts" / "facts.json"
    assert written(fake) == facts_of(fake) == asked(fake)
    assert written(replace(fake, config={"margin": 2.0})) is None
    assert facts_of(replace(fake, config={"margin": 2.0})).options[0].value == 2.0
    code = tmp_path / "fake_facts" / "method.py"
    code.write_text(CODE.replace("region", "global"))
    assert written(fake) is None
    path.write_text("{")
    assert written(fake) is None
