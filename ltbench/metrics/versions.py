"""Versions of the metric contract. Conventions of counting are the same in all; what is judged differs."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, Literal

LogitsDtype = Literal["float32", "float16"]

#: Version → type of the logits that are stored and, as stored, judged. Version 1 judges float32 as a method gives it.
#: Version 2 judges what half the space holds: logits rounded to float16.
LOGITS_DTYPES: Final = MappingProxyType[int, LogitsDtype]({1: "float32", 2: "float16"})
CONTRACT_VERSIONS: Final = tuple(LOGITS_DTYPES)


def logits_dtype(contract: int) -> LogitsDtype:
    """Type of the logits that a version of the contract judges.

    Raises:
        ValueError: there is no such version.
    """
    if contract not in LOGITS_DTYPES:
        raise ValueError(f"there is no metric contract {contract}; there are {', '.join(map(str, CONTRACT_VERSIONS))}")
    return LOGITS_DTYPES[contract]
