"""Versions of a record's schema, and what each brought: the one place that knows their numbers."""

from __future__ import annotations

from typing import Final, Literal, get_args

SchemaVersion = Literal[1, 2, 3]
#: Versions that are read.
SCHEMA_VERSIONS: Final[tuple[SchemaVersion, ...]] = get_args(SchemaVersion)
#: The one that is written, and the only one that a leaderboard takes new runs of.
WRITTEN: Final[SchemaVersion] = 3

#: From here on there is the field ``corrections``. Where it is the newest, the field is never empty.
FIRST_WITH_CORRECTIONS: Final = 2
#: From here on the type of the device belongs to the run's key.
FIRST_WITH_DEVICE: Final = 3
#: From here on the hash of the method's code is stated.
FIRST_WITH_CODE: Final = 3
#: From here on every extra is named, and origins are of today's grammar.
FIRST_WITH_ORIGINS: Final = 3
