"""What a comparison of rows needs of their logits, and the file of a leaderboard that keeps it.

``comparisons.json`` is a cache: it holds, for every pair of rows, how far their difference moves over resampled test
images, bound to the hashes of the records and of the logits behind it. Differences, variances over seeds and ranks are
computed from the records each time. :meth:`Comparisons.of` computes all of it again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltbench.plugin.errors import UserError
from ltbench.plugin.reading import read_json
from ltbench.records.canonical import canonical_json
from ltbench.records.read import LoadedRecord
from ltbench.report.rows import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ltbench.records.verify import OpenTruth
    from ltbench.tasks.views import Truth

NAME = "comparisons.json"
SCHEMA = 2
#: Two computations of one spread may differ by this, in points: sums are rounded in another order on other processors.
TOLERANCE = 2e-6

Hashes = tuple[str, ...]


@dataclass(frozen=True)
class ImageSpread:
    """The rows of one section over resampled test images.

    Attributes:
        metric: what ranks, over all classes.
        draws: resamplings of the test images.
        seed: of the draws.
        records: per row, ``record_sha256`` of its records, by seed.
        logits: per row, sha256 of the files of logits that were at hand, by seed; a row without any is left out.
        sd: lower triangle [row][earlier row]: standard deviation of the difference of the two, averaged over the seeds
            that were at hand, percentage points, six decimals; ``None`` where the metric is undefined.
    """

    metric: str
    draws: int
    seed: int
    records: tuple[Hashes, ...]
    logits: tuple[Hashes, ...]
    sd: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Spread:
    """One pair of an :class:`ImageSpread`; ``logits`` are the hashes used of either row, by its records' hashes."""

    sd: float
    draws: int
    logits: Mapping[Hashes, Hashes]


def pairs_of(rows: Sequence[Row], files: Mapping[str, Path], open_truth: OpenTruth) -> ImageSpread | None:
    """Resample the test images for every row of a section; all pairs follow by subtraction.

    Args:
        rows: of one section, so of one task setting.
        files: sha256 → file of logits; what is not there is not used.
        open_truth: opens the task that a record names.

    Returns:
        ``None`` where fewer than two rows have logits.

    Raises:
        UserError: a file is damaged, changed, or not of the test rows and classes of the task, or the task cannot be
            opened.
    """
    from ltbench.records.compare import DRAWS, spread_of

    having = [row for row in rows if at_hand(row, files) and row.headline is not None]
    if len(having) < 2:
        return None
    truth = truth_of(having[0], open_truth)
    metric = having[0].first.task.headline
    values = [_replicates(row, files, truth, metric) for row in having]
    return ImageSpread(
        metric=metric,
        draws=DRAWS,
        seed=0,
        records=tuple(record_hashes(row) for row in having),
        logits=tuple(at_hand(row, files) for row in having),
        sd=tuple(tuple(spread_of(values[a], values[b]) for b in range(a)) for a in range(len(having))),
    )


def truth_of(row: Row, open_truth: OpenTruth) -> Truth:
    """Truth of a row's task, if it is the one that its records were judged by.

    Raises:
        UserError: the task cannot be opened, or its data are others.
    """
    task, truth = open_truth(row.first)
    found, stated = truth.fingerprints.model_dump(), row.first.task.fingerprints
    other = sorted(name for name, value in stated.items() if found.get(name) != value)
    if other:
        raise UserError(
            f"the data of {task.address} are not those of the records ({', '.join(other)})",
            f"ltbench data verify {task.data_set}",
        )
    return truth


def read_checked(path: Path, sha256: str, truth: Truth) -> NDArray[np.float32]:
    """Logits float32 [n, C] of a file, if it is the one that a record names and belongs to the truth.

    Raises:
        UserError: it is not.
    """
    from ltbench.records.judge import check_alignment
    from ltbench.records.logits import read_logits

    file = read_logits(path)
    problems = check_alignment(truth, file)
    if file.sha256 != sha256:
        problems.insert(0, f"its sha256 is {file.sha256}, the record states {sha256}")
    if problems:
        raise UserError(f"{path}: {'; '.join(problems)}", "ltbench verify RECORD")
    return file.logits


def _replicates(row: Row, files: Mapping[str, Path], truth: Truth, metric: str) -> NDArray[np.float64]:
    from ltbench.metrics.errors import MetricError
    from ltbench.records.compare import replicates_of

    logits = [read_checked(files[sha256], sha256, truth) for sha256 in at_hand(row, files)]
    try:
        return replicates_of(logits, truth, metric)
    except MetricError as error:
        raise UserError(f"logits of {row.name}: {error}", "ltbench verify RECORD") from error


def record_hashes(row: Row) -> Hashes:
    """``record_sha256`` of a row's records, by seed."""
    return tuple(record.record_sha256 for record in row.records)


def at_hand(row: Row, files: Mapping[str, Path]) -> Hashes:
    """Hashes of a row's logits that there are files of, by seed."""
    stated = [record.logits.sha256 for record in row.records if record.logits is not None]
    return tuple(sha256 for sha256 in stated if sha256 in files)


def logits_in(folders: Iterable[Path]) -> dict[str, Path]:
    """Files of logits in some folders by the hash of their content, whatever their names promise."""
    from ltbench.records.logits import file_sha256

    return {file_sha256(path): path for folder in folders for path in sorted(folder.glob("*.safetensors"))}


def logits_beside(records: Iterable[LoadedRecord]) -> dict[str, Path]:
    """Files of logits in the usual places beside records, by the hash of their content.

    These are ``logits.safetensors`` in the folder of an attempt, and ``logits/`` next to the folder ``records`` of a
    leaderboard.
    """
    from ltbench.records.logits import file_sha256

    folders: dict[Path, None] = {}
    found: dict[str, Path] = {}
    for entry in records:
        folder, name = os.path.split(entry.path)
        folders[Path(os.path.dirname(folder), "logits")] = None
        for beside in ("logits.safetensors", f"{os.path.splitext(name)[0]}.safetensors"):
            if os.path.isfile(path := os.path.join(folder, beside)):
                found[file_sha256(Path(path))] = Path(path)
    return {**logits_in(folder for folder in folders if folder.is_dir()), **found}


@dataclass
class Comparisons:
    """Image spreads of the sections of some boards."""

    sections: tuple[ImageSpread, ...] = ()
    _pairs: dict[tuple[str, frozenset[Hashes]], Spread] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for one in self.sections:
            for a, line in enumerate(one.sd):
                for b, sd in enumerate(line):
                    used = {one.records[a]: one.logits[a], one.records[b]: one.logits[b]}
                    if sd is not None:
                        self._pairs[one.metric, frozenset(used)] = Spread(sd, one.draws, used)

    @classmethod
    def of(cls, sections: Iterable[Sequence[Row]], files: Mapping[str, Path], open_truth: OpenTruth) -> Comparisons:
        """Compute everything from logits.

        Raises:
            UserError: as :func:`pairs_of`.
        """
        found = [pairs_of(rows, files, open_truth) for rows in sections]
        return cls(tuple(one for one in found if one is not None))

    @classmethod
    def merged(cls, several: Iterable[Comparisons]) -> Comparisons:
        """All of several."""
        return cls(tuple(one for some in several for one in some.sections))

    @classmethod
    def read(cls, folder: Path) -> Comparisons:
        """Read the file of a leaderboard; without one there are none.

        Raises:
            UserError: the file is damaged, or of another schema.
        """
        path = folder / NAME
        if not path.exists():
            return cls()
        again = f"delete {path.name} and run ltbench leaderboard --format md"
        try:
            document = read_json(path, name=str(path), hint=again)
            if not isinstance(document, dict) or document.get("schema") != SCHEMA:
                raise UserError(f"{path} is not of schema {SCHEMA}", again)
            return cls(tuple(_spread(entry) for entry in document["sections"]))
        except (ValueError, OverflowError, TypeError, AttributeError, KeyError, IndexError) as error:
            raise UserError(f"{path} is damaged ({error})", again) from error

    def to_json(self) -> str:
        """Text of the file."""
        return canonical_json({"schema": SCHEMA, "sections": [asdict(one) for one in self.sections]})

    def find(self, metric: str, a: Hashes, b: Hashes) -> Spread | None:
        """Spread of two rows, given by :func:`record_hashes`, if there is one of exactly these records."""
        # Hashing a pair costs more than all else that is asked of it.
        return self._pairs.get((metric, frozenset((a, b)))) if self._pairs else None

    def differences(self, found: Comparisons) -> list[str]:
        """What in this is not what was ``found`` by computing it again, one line each."""
        return list(_differences(self._pairs, found._pairs))


def _differences(
    stored: Mapping[tuple[str, frozenset[Hashes]], Spread], found: Mapping[tuple[str, frozenset[Hashes]], Spread]
) -> Iterator[str]:
    for place in sorted({*stored, *found}, key=lambda p: (p[0], sorted(p[1]))):
        names = " and ".join(hashes[0][:8] for hashes in sorted(place[1]))
        if place not in stored:
            yield f"{place[0]} of records {names}: not compared"
        elif place not in found:
            yield f"{place[0]} of records {names}: no such rows with logits"
        elif (stored[place].draws, stored[place].logits) != (found[place].draws, found[place].logits):
            yield f"{place[0]} of records {names}: other logits or draws"
        elif not abs(stored[place].sd - found[place].sd) <= TOLERANCE:
            yield f"{place[0]} of records {names}: stored {stored[place].sd}, computed {found[place].sd}"


def _spread(entry: Mapping[str, Any]) -> ImageSpread:
    made = ImageSpread(
        metric=str(entry["metric"]),
        draws=int(entry["draws"]),
        seed=int(entry["seed"]),
        records=tuple(tuple(map(str, hashes)) for hashes in entry["records"]),
        logits=tuple(tuple(map(str, hashes)) for hashes in entry["logits"]),
        sd=tuple(tuple(None if sd is None else float(sd) for sd in line) for line in entry["sd"]),
    )
    lengths = [len(line) for line in made.sd]
    if not lengths == list(range(len(made.records))) == list(range(len(made.logits))):
        raise ValueError("sd is no lower triangle over the rows")
    return made
