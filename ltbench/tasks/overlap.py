"""Which tasks show, in training, what others test on: figures that were won on the one may not rank on the other.

Knows names only, so that boards can ask without opening a task.
"""

from __future__ import annotations

from typing import Final

from ltbench.plugin.past import past_is_unknown

#: Start of the names of tasks → tasks whose test images those train, tune or validate on.
_SHOWN: Final = {"photos-": ("voc-lt", "plt-voc", "partial-voc2007")}

SHOWN_TRAP: Final = (
    "the photos-* tasks are made of these test photographs and train on some of them: what was trained, tuned or "
    "chosen there is never ranked here, nor is an encoder from a file that does not say what it saw"
)
"""On the cards of the tasks that ``photos-*`` shows the test images of."""


def tasks_tested_on(name: str) -> tuple[str, ...]:
    """Names of the tasks that test on images that a task trains, tunes or validates on.

    Args:
        name: of a task, with or without its setting.
    """
    return tuple(task for start, tasks in _SHOWN.items() if name.startswith(start) for task in tasks)


def why_unranked(name: str, origin: str, pretraining: str) -> list[str]:
    """What keeps a row of a task from ranking because its test images were shown before; empty where they were not.

    Args:
        name: of the task, without its setting.
        origin: where the values come from, as the record states it.
        pretraining: what the encoder saw, as its card states it.
    """
    told = {"values": shown_by(name, origin), "an encoder": shown_by(name, pretraining)}
    reasons = [f"{what} made on {shown}, whose images are tested on here" for what, shown in told.items() if shown]
    # Files of weights and of features tell nothing of their past; a backbone plugin's card does.
    if _shown_anywhere(name) and not told["an encoder"] and past_is_unknown(pretraining):
        reasons.append(
            "an encoder of which nobody says what it saw, and photos-* tasks train on what is tested on here"
        )
    return reasons


def _shown_anywhere(name: str) -> bool:
    return any(name in tasks for tasks in _SHOWN.values())


def shown_by(name: str, text: str) -> str:
    """The word by which a text (an origin, what an encoder saw) names a task that shows the test images of a task.

    Args:
        name: of the task that is tested on, without its setting.
        text: free text; ``tuned(8, on photos-lt)``, ``fine-tuned on photos-plt@mr40``.

    Returns:
        That word; empty where there is none.
    """
    for start, tasks in _SHOWN.items():
        if name in tasks:
            for word in text.replace("(", " ").replace(")", " ").replace(",", " ").split():
                if word.startswith(start):
                    return word
    return ""
