"""The pytest plugin for method authors: the fixture ``ltbench_check``.

It is loaded in every pytest run of an environment that has ltbench, so it imports nothing heavy: the kit (and torch
with it) is imported by the first test that asks for the fixture.

    def test_acme_probe(ltbench_check):
        ltbench_check("acme-probe")
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Check = Callable[..., None]


@pytest.fixture
def ltbench_check() -> Check:
    """Run the conformance kit on a method; the test fails with one line for each failed check.

    Call it as ``ltbench_check(method, backbone="tiny-clip", weights=None)`` with the name of a method, its class or its
    file; skipped checks do not fail the test.
    """

    def check(name: Any, backbone: str = "tiny-clip", weights: str | None = None) -> None:
        from ltbench.testing.kit import check_method

        results = check_method(name, backbone, weights=weights)
        failed = [f"{result.name}: {result.line}" for result in results if result.status == "failed"]
        if failed:
            pytest.fail(f"method {name} breaks the contract\n" + "\n".join(failed), pytrace=False)

    return check
