"""What a row used beyond images and the observed labels of its training rows, found from what it is given.

Nothing here is an author's word: captions, label groups and validation rows are handed out only where ``needs()`` asks
for them, and word vectors are read through :class:`ltbench.method.words.WordVectorConfig`. What a method brings along
by itself is out of reach; ``Needs.extras`` is where its author names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NoReturn

from ltbench.method.config import MethodConfig, Needs

CAPTIONS: Final = "captions"
GROUPS: Final = "label groups"
VALIDATION: Final = "validation"
CLEAN_VALIDATION: Final = "clean validation"
#: What a record may say of validation rows; see :func:`validation_extra`.
OF_VALIDATION: Final = frozenset({VALIDATION, CLEAN_VALIDATION})

#: Labels of the validation rows that a final run has: none, through the label protocol, or all.
ValidationLabels = Literal["", "observed", "clean"]


def validation_extra(labels: ValidationLabels) -> frozenset[str]:
    """What a record says of validation rows that were used: one word, or none where there are no such rows."""
    return frozenset({CLEAN_VALIDATION} if labels == "clean" else {VALIDATION} if labels else ())


def found_extras(
    needs: Needs,
    config: MethodConfig,
    *,
    captions: str,
    has_groups: bool,
    validation: ValidationLabels,
    selects: bool = False,
) -> tuple[str, ...]:
    """Extras of a run, sorted.

    Args:
        needs: of the configured method.
        config: its configuration.
        captions: where the task's captions come from (``Task.captions``); those made from observed labels add nothing.
        has_groups: the training view has semantic groups of classes.
        validation: what a method that asks is given, see :func:`ltbench.tasks.views.validation_labels`.
        selects: the epoch that counts is chosen on these rows.
    """
    # Imported here because it brings torch, and the names above are asked for without.
    from ltbench.method.words import WordVectorConfig

    found = set(needs.extras)
    if needs.captions and captions == "given":
        found.add(CAPTIONS)
    if needs.groups and has_groups:
        found.add(GROUPS)
    if needs.validation or selects:
        found |= validation_extra(validation)
    if isinstance(config, WordVectorConfig):
        found.update(WordVectorConfig.extras(config))
    return tuple(sorted(found))


class UndeclaredUse(Exception):
    """A method reads what its ``needs()`` do not ask for."""


class NotAskedFor(Mapping[str, tuple[str, ...]]):
    """Stands where label groups would be: whoever looks into it is told to ask.

    Args:
        what: field of the context.
        need: field of :class:`ltbench.method.Needs` that asks for it.

    Raises:
        UndeclaredUse: on any access.
    """

    def __init__(self, what: str, need: str) -> None:
        self._what = what
        self._need = need

    def _refuse(self) -> NoReturn:
        raise UndeclaredUse(
            f"context.{self._what} is only given where needs() ask for {self._need}, so that rows say what they used"
        )

    def __getitem__(self, key: str) -> tuple[str, ...]:
        self._refuse()

    def __iter__(self) -> Iterator[str]:
        self._refuse()

    def __len__(self) -> int:
        self._refuse()

    def __repr__(self) -> str:
        return f"<{self._what} not asked for>"
