"""Label protocols describe themselves, and refuse wrong descriptions and wrong input."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from ltbench.tasks.errors import ProtocolError
from ltbench.tasks.protocols import Full, LabelProtocol, Partial, Plt, SeenOnly, SinglePositive
from tests.tasks.protocols.protocol_toys import Labels

ANY: TypeAdapter[LabelProtocol] = TypeAdapter(LabelProtocol)


@pytest.mark.parametrize(
    ("protocol", "policy"),
    [
        (Full(), "ignore"),
        (Partial(share=0.1), "ignore"),
        (Partial(share=0.5, draw="hcp"), "ignore"),
        (SinglePositive(), "assume-negative"),
        (Plt(missing=0.4), "assume-negative"),
        (SeenOnly(seen=("a", "b")), "ignore"),
    ],
)
def test_protocols_describe_themselves(protocol: LabelProtocol, policy: str) -> None:
    assert ANY.validate_json(ANY.dump_json(protocol)) == protocol
    assert protocol.unknown_policy == policy
    assert protocol.summary
    assert hash(protocol) == hash(protocol.model_copy())
    with pytest.raises(ValidationError):
        protocol.kind = "full"


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "half"},
        {"kind": "partial"},
        {"kind": "partial", "share": 0},
        {"kind": "partial", "share": 1.1},
        {"kind": "plt", "missing": 1},
        {"kind": "plt", "missing": 0.4, "seed": 3},
        {"kind": "full", "share": 0.5},
        {"kind": "seen-only", "seen": []},
    ],
)
def test_wrong_descriptions_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ANY.validate_python(wrong)


@pytest.mark.parametrize(
    ("labels", "ids", "classes", "message"),
    [
        (np.ones((2, 2), np.int8), ["a"], ["x", "y"], "for 1 ids"),
        (np.ones((2, 2), np.int8), ["a", "a"], ["x", "y"], "image id 'a' repeats"),
        (np.ones((2, 2), np.int8), ["a", "b"], ["x", "x"], "class name 'x' repeats"),
        (np.full((2, 2), 2, np.int8), ["a", "b"], ["x", "y"], "label 2 of image 'a', class 'x'"),
        (np.ones((2, 2), np.uint8), ["a", "b"], ["x", "y"], "signed-integer"),
        (np.ones(2, np.int8), ["a", "b"], ["x"], "signed-integer matrix"),
    ],
)
def test_bad_input(labels: Labels, ids: list[str], classes: list[str], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        Full().apply(labels, ids, classes, "toys", 0)


def test_a_namespace_must_not_hold_the_separator() -> None:
    with pytest.raises(ProtocolError, match="namespace"):
        Partial(share=0.5).apply(np.ones((1, 1), np.int8), ["a"], ["x"], "a|b", 0)


def test_describing_protocols_needs_no_numpy() -> None:
    code = "import sys, ltbench.tasks.protocols, ltbench.tasks.groups; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
