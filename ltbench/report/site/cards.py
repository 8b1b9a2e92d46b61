"""Cards of methods as HTML; Markdown that comes from a package is text, never markup of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markupsafe import Markup

from ltbench.method.facts import Option, written
from ltbench.plugin.cards import card_of
from ltbench.plugin.manager import Registered, registry
from ltbench.plugin.specs import MethodSpec
from ltbench.records.record import RunRecord
from ltbench.report.published import PAPERS


@dataclass(frozen=True)
class CardPage:
    """A method with its card.

    Attributes:
        body: the card; empty when it has none.
        options: as its package has them written down; empty where only running its code would tell.
        paper: key of the paper that it belongs to, see :data:`~ltbench.report.published.PAPERS`.
    """

    name: str
    summary: str
    families: tuple[str, ...]
    variants: tuple[str, ...]
    distribution: str
    body: Markup
    options: tuple[Option, ...]
    paper: str | None


def cards_of(records: Iterable[RunRecord]) -> dict[tuple[str, str], CardPage]:
    """(Method, distribution) → card of every method in some records that is installed from that distribution."""
    known = registry().methods
    named = sorted({(record.method.name, record.method.distribution) for record in records})
    found = [(key, known.get(key[0])) for key in named if key[0] in known]
    return {key: _page(item) for key, item in found if item.distribution == key[1]}


def _page(item: Registered[MethodSpec]) -> CardPage:
    spec, facts = item.spec, written(item.spec)
    return CardPage(
        name=spec.name,
        summary=spec.summary,
        families=tuple(sorted(spec.families)),
        variants=spec.variants,
        distribution=f"{item.distribution} {item.version}",
        body=to_html(card_of(spec)),
        options=facts.options if facts is not None else (),
        paper=item.plugin if item.plugin in PAPERS else None,
    )


def to_html(text: str) -> Markup:
    """Markdown as HTML: tags in it are shown as they are typed, pictures are not shown, links lead to https only."""
    made = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    made.validateLink = _https  # type: ignore[method-assign]
    return Markup(made.render(text))


def _https(url: str) -> bool:
    return url.startswith("https://")
