"""Pinned fingerprints and counts of official tasks, kept as data beside the definitions."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Any

from ltbench.tasks.task import Counts, Fingerprints

_COUNTS = "counts"


@lru_cache(maxsize=8)
def _document(name: str) -> dict[str, dict[str, Any]]:
    file = resources.files("ltbench.tasks.official").joinpath(f"{name}.json")
    document: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return document


def _entry(document: str, address: str, version: int) -> dict[str, Any]:
    return _document(document).get(f"{address}.v{version}", {})


def pinned(document: str, address: str, version: int) -> Fingerprints:
    """Fingerprints of one task setting and version from ``<document>.json``; all unpinned where it has no entry."""
    entry = _entry(document, address, version)
    return Fingerprints.model_validate({name: value for name, value in entry.items() if name != _COUNTS})


def pinned_counts(document: str, address: str, version: int) -> Counts:
    """What was counted when a task setting and version was pinned; empty where it has no entry."""
    return Counts.model_validate(_entry(document, address, version).get(_COUNTS, {}))
