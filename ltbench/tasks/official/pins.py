"""Pinned fingerprints of official tasks, kept as data beside the definitions."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources

from ltbench.tasks.task import Fingerprints


@lru_cache(maxsize=8)
def _document(name: str) -> dict[str, dict[str, str]]:
    text = resources.files("ltbench.tasks.official").joinpath(f"{name}.json").read_text(encoding="utf-8")
    document: dict[str, dict[str, str]] = json.loads(text)
    return document


def pinned(document: str, address: str, version: int) -> Fingerprints:
    """Fingerprints of one task setting and version from ``<document>.json``; all unpinned where it has no entry."""
    return Fingerprints.model_validate(_document(document).get(f"{address}.v{version}", {}))
