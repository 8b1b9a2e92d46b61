"""How a card states that nobody says what an encoder saw, so that who writes it and who ranks by it mean the same."""

from __future__ import annotations

from typing import Final, Literal

_START: Final = "unknown ("


def unknown_past(kind: Literal["local", "feature"], file: str) -> str:
    """What a card has for its pre-training where a file is all there is, one line.

    Args:
        kind: of the file: weights that lie here, or features.
        file: its name, without folders.
    """
    return f"{_START}{kind} file {file})"


def past_is_unknown(pretraining: str) -> bool:
    """Whether a card says so."""
    return pretraining.startswith(_START)
