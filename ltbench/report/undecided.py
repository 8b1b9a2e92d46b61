"""What the comparisons of a section rest on, and what they cannot decide: sentences below its tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from ltbench.report.named import named
from ltbench.report.ranks import Compared
from ltbench.report.rows import Row


def pair_notes(compared: Compared, labels: Sequence[str]) -> Iterator[str]:
    """Sentences on the pairs of a section; none where there is no pair.

    Args:
        compared: the rows.
        labels: a name for each.
    """
    pairs = compared.pairs
    if not pairs:
        return
    count = len(pairs)
    apart = sum(pair.separated for pair in pairs.values())
    said = f"{count} pairs of rows, {apart} separated at 5 % for all of them together"
    if count == 1:
        said = f"1 pair of rows, {'separated' if apart else 'not separated'} at 5 %"
    yield f"{said}, over test images and seeds (how is in docs/explanation/statistics.md)."
    if apart < count:
        yield _undecided(compared, labels, apart)
    single = [label for row, label in zip(compared.rows, labels, strict=True) if _single(row)]
    if single:
        yield f"One seed says nothing about others, so these separate from nothing: {', '.join(single)}."
    yield from _grounds(compared, labels)


def _undecided(compared: Compared, labels: Sequence[str], apart: int) -> str:
    left = {place: pair for place, pair in compared.pairs.items() if not pair.separated}
    counts = sorted({len(row.records) for row in compared.rows if not row.first.method.deterministic})
    seeds = f"{' or '.join(map(str, counts))} {'seed' if counts == [1] else 'seeds'} a row and " if counts else ""
    logits = compared.rows[0].first.logits
    remain = "pairs remain" if len(left) > 1 else "pair remains"
    said = f"With {seeds}{logits.rows if logits else 'these'} test images {len(left)} {remain} undecided"
    needed = [pair.needed for pair in left.values() if pair.needed is not None]
    if needed:
        what = "half of these" if len(left) > 1 else "it"
        said += f": {what} could not have been separated by less than {median(needed):.2f} points"
    (a, b), widest = max(left.items(), key=lambda item: abs(item[1].value))
    said += f". The largest undecided difference is {abs(widest.value):.2f} ({labels[a]} and {labels[b]})"
    if apart:
        smallest = min(abs(pair.value) for pair in compared.pairs.values() if pair.separated)
        said += f", the smallest separated one {smallest:.2f}"
    return f"{said}."


def _single(row: Row) -> bool:
    return len(row.records) == 1 and not row.first.method.deterministic


def _grounds(compared: Compared, labels: Sequence[str]) -> Iterator[str]:
    """Rows some or all of whose logits were not at hand."""
    by_row: dict[int, set[str]] = {}
    for place, way in compared.ways.items():
        for row in place:
            by_row.setdefault(row, set()).add(way)
    without = [labels[row] for row in sorted(by_row) if by_row[row] == {"intervals"}]
    # A pair is as good as its poorer side, so only rows without a single whole pair are sure to be such a side.
    some = [labels[row] for row in sorted(by_row) if "some" in by_row[row] and "logits" not in by_row[row]]
    if without:
        everything = len(without) == len(by_row)
        yield (
            f"No logits at hand of {'any row' if everything else ', '.join(without)}: pairs go by the seeds and by the "
            "records' own intervals over test images, as if of different images, which separates less."
        )
    if some:
        yield (
            f"Test images were resampled on the logits of some seeds only, those at hand, for "
            f"{named(some, [labels[row] for row in sorted(by_row)])}; the variance over seeds is that of all."
        )
