"""A fingerprint is a hash of documented bytes, and tells apart what differs."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from ltbench.tasks.errors import ProtocolError
from ltbench.tasks.protocols import fingerprint


def test_fingerprint_is_the_documented_bytes() -> None:
    labels = np.array([[1, -1, 0]], dtype=np.int8)
    assert fingerprint(labels) == hashlib.sha256(b"|i1 1x3\n\x01\xff\x00").hexdigest()
    assert fingerprint(["cat", "Käse"]) == hashlib.sha256("cat\nKäse".encode()).hexdigest()
    assert fingerprint(np.array(["cat", "dog"])) == fingerprint(("cat", "dog"))


def test_fingerprint_tells_apart_and_ignores_layout() -> None:
    a = np.arange(6, dtype=np.int32).reshape(2, 3)
    assert len({fingerprint(x) for x in (a, a.T, a.reshape(3, 2), a.astype(np.int64), a + 1, a.ravel())}) == 6
    assert fingerprint(a) == fingerprint(np.asfortranarray(a)) == fingerprint(a.astype(">i4"))
    assert fingerprint(["a", "b"]) != fingerprint(["b", "a"])


@pytest.mark.parametrize("wrong", ["cat", [1, 2], ["a\nb"], np.array([object()])])
def test_fingerprint_refuses(wrong: object) -> None:
    with pytest.raises(ProtocolError):
        fingerprint(wrong)  # type: ignore[arg-type]
