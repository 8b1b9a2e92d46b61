"""The tokenizer of an open_clip model."""

from __future__ import annotations

import contextlib
from typing import Any

from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

from ltbench.backbones.openclip_names import Source
from ltbench.backbones.options import BackboneOptions
from ltbench.backbones.tokens import LetterTokens, LibraryTokens
from ltbench.plugin.errors import UserError

_LONGEST = 77
"""Tokens of a text where a configuration does not say."""


def tokenizer_of(source: Source, options: BackboneOptions) -> Any:
    """CLIP's own tokenizer, or that of another library, opened with the first text.

    With random weights, which read any tokens, letters stand for a tokenizer that is not at hand.
    """
    text: dict[str, Any] = source.architecture.get("text_cfg", {})
    length = int(text.get("context_length", _LONGEST))
    name = str(text.get("hf_tokenizer_name") or text.get("hf_model_name") or "")
    if not name:
        return SimpleTokenizer(context_length=length, **text.get("tokenizer_kwargs", {}))
    if source.folder is not None and not source.repository and text.get("hf_tokenizer_name"):
        name = str(source.folder)

    def opener() -> Any:
        return _opened(name, text, length, source.model, options.offline)

    if options.random:
        with contextlib.suppress(UserError):
            opener = _kept(_opened(name, text, length, source.model, True))
            return LibraryTokens(opener, length)
        return LetterTokens(int(text.get("vocab_size", 49408)), length, end=int(text.get("eos_id", 1)))
    return LibraryTokens(opener, length)


def _kept(tokenizer: Any) -> Any:
    return lambda: tokenizer


def _opened(name: str, text: dict[str, Any], length: int, model: str, offline: bool) -> Any:
    """open_clip's wrapper of a tokenizer of transformers.

    Raises:
        UserError: it is not to be had.
    """
    kwargs = {**text.get("tokenizer_kwargs", {}), **({"local_files_only": True} if offline else {})}
    try:
        return HFTokenizer(name, context_length=length, tokenizer_mode=text.get("tokenizer_mode"), **kwargs)
    except ImportError as error:
        raise UserError(
            f"the tokenizer of {model} needs a package that is not installed ({_line(error)})",
            "pip install transformers sentencepiece",
        ) from error
    except Exception as error:  # a missing file has many names there
        raise UserError(
            f"the tokenizer of {model} ({name}) is not to be had ({_line(error)})",
            "once with a network and without --offline, then it is kept",
        ) from error


def _line(error: Exception) -> str:
    return " ".join((str(error).strip() or type(error).__name__).split())[:160]
