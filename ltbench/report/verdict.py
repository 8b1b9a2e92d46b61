"""What a section of a leaderboard says first: the best mean, what may be as good and costs less, and rows that are one.

What is called *as good* goes by the interval of a pair alone, which is narrower than what Holm's correction for all
pairs asks for; what is called better goes by the correction. Each claim is held to the stricter of the two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ltbench.metrics.judged import TOTAL
from ltbench.report.cells import score_cell
from ltbench.report.rows import Row

if TYPE_CHECKING:
    from ltbench.metrics.pairs import Pair
    from ltbench.report.ranks import Compared


def holds_zero(pair: Pair) -> bool:
    """Whether a difference may be zero; a pair without an interval (of a single seed) supports nothing."""
    return pair.low is not None and pair.high is not None and pair.low <= 0 <= pair.high


def as_good(compared: Compared, places: Sequence[int]) -> list[int]:
    """Those of some places, best first, whose difference to the first may be zero; the first among them."""
    best = places[0]
    return [place for place in places if place == best or holds_zero(compared.pairs[best, place])]


def cheapest(rows: Sequence[Row], places: Sequence[int]) -> int:
    """The place of the row that trains in the fewest seconds, then with the fewest parameters."""

    def cost(place: int) -> tuple[float, float, int]:
        seconds, parameters = (rows[place].mean_cost(name) for name in ("train_seconds", "trainable_parameters"))
        unknown = float("inf")
        return unknown if seconds is None else seconds, unknown if parameters is None else parameters, place

    return min(places, key=cost)


def verdict(compared: Compared, labels: Sequence[str]) -> str:
    """One sentence; empty where no row has a figure."""
    said, places = in_short(compared, labels), _known(compared)
    if len(places) < 2:
        return f"{said}." if said else ""
    best, alike = places[0], as_good(compared, places)
    if len(alike) == 1:
        return f"{said}."
    low = cheapest(compared.rows, alike)
    if low == best:
        return f"{said}, none of them cheaper to train."
    pair = compared.pairs[best, low]
    return (
        f"{said}, the cheapest to train being {labels[low]} ({-pair.value:+.2f}, 95 % interval "
        f"{-(pair.high or 0.0):.2f} to {-(pair.low or 0.0):.2f})."
    )


def in_short(compared: Compared, labels: Sequence[str]) -> str:
    """The verdict as far as it fits a line, without the full stop: the best, and how many may be as good."""
    places = _known(compared)
    if not places:
        return ""
    best = places[0]
    row = compared.rows[best]
    said = f"Best by mean: {labels[best]}, {score_cell(row.score(row.first.task.headline, TOTAL)).text}"
    if len(places) == 1:
        return f"{said}, the only row"
    alike = as_good(compared, places)
    if len(alike) > 1:
        return f"{said}; {len(alike) - 1} of {len(places) - 1} others may be as good"
    lower = sum(pair.separated for (upper, _), pair in compared.pairs.items() if upper == best)
    rest = len(places) - 1
    return f"{said}, separated {'from all others' if lower == rest else f'from {lower} of {rest} others'}"


def _known(compared: Compared) -> list[int]:
    return [place for place, row in enumerate(compared.rows) if row.headline is not None]


def twin_notes(rows: Sequence[Row], labels: Sequence[str]) -> Iterator[str]:
    """One sentence on rows that are one computation by several names: the same logits, or the same figures throughout.

    Args:
        rows: of a section.
        labels: a name for each.
    """
    groups: dict[str, list[list[str]]] = {"logits": [], "figures": []}
    same: dict[object, list[int]] = {}
    # Rows of one mean only are looked at whole: few of thousands are.
    alike = Counter(map(_outline, rows))
    for place, row in enumerate(rows):
        if alike[_outline(row)] > 1:
            figures = tuple((record.seed, _scores(row, number)) for number, record in enumerate(row.records))
            same.setdefault(figures, []).append(place)
    for places in same.values():
        if len(places) > 1:
            one = len({rows[place].logits for place in places}) == 1
            groups["logits" if one else "figures"].append([labels[place] for place in places])
    for what, found in groups.items():
        if found:
            listed = "; ".join(" = ".join(names) for names in found)
            yield f"Rows with the same {what}, seed by seed, so one result by several names: {listed}."


def _outline(row: Row) -> object:
    """What twins share and most other rows do not."""
    return row.seeds, row.headline


def _scores(row: Row, number: int) -> object:
    """All figures of one seed as a value that can be compared; nothing of names or cost."""
    record = row.records[number]
    return (
        tuple(sorted((metric, tuple(sorted(subsets.items()))) for metric, subsets in record.scores.items())),
        tuple(sorted(record.per_class_ap.items())),
    )
