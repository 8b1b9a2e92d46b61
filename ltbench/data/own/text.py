"""Text files as people have them: tables and lists of names are read here, whatever wrote them."""

from __future__ import annotations

from pathlib import Path

from ltbench.plugin.errors import UserError


def text_of(path: Path) -> str:
    """A text file of a user's, UTF-8 with or without a byte-order mark.

    Raises:
        UserError: it is missing, a folder, or in another encoding.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist", "ltbench task new --help") from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder, a file was expected", "ltbench task new --help") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path.name} is not UTF-8 (byte {error.start})", "save it as CSV UTF-8") from error
