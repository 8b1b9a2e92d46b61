"""Text files as people have them: tables and lists of names are read here, whatever wrote them."""

from __future__ import annotations

from pathlib import Path

from ltbench.plugin.errors import Damaged, UserError
from ltbench.plugin.reading import read_text_file


def text_of(path: Path) -> str:
    """A text file of a user's, UTF-8 with or without a byte-order mark.

    Raises:
        UserError: it is missing, a folder, too large, or in another encoding.
    """
    try:
        return read_text_file(path, hint="save it as CSV UTF-8")
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist", "ltbench task new --help") from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder, a file was expected", "ltbench task new --help") from error
    except Damaged as error:
        if isinstance(cause := error.__cause__, UnicodeDecodeError):
            raise UserError(f"{path.name} is not UTF-8 (byte {cause.start})", "save it as CSV UTF-8") from error
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})", "ltbench task new --help") from error
