"""Step 4, bringing what a plan says: files are fetched, archives put in place, and all that fails is told at once."""

from __future__ import annotations

from ltbench.data.base import DataRoot
from ltbench.data.getting.disk import check_room
from ltbench.data.getting.fetch import fetch
from ltbench.data.getting.plan import Item, Plan, plan
from ltbench.data.getting.put import put
from ltbench.plugin.errors import UserError


def bring(wanted: Plan, root: DataRoot, keep_archives: bool = False) -> list[Item]:
    """Bring everything that is missing; says how much that is before it begins.

    Args:
        keep_archives: leave archives in the cache after they are unpacked.

    Returns:
        What was brought.

    Raises:
        UserError: something could not be brought. All that could was; ``details`` has a line for each thing that could
            not.
    """
    if wanted.summary:
        root.reporter.line(wanted.summary)
        if not root.offline:
            check_room(root.home, wanted.room(keep_archives), wanted.name)
    problems: list[UserError] = []
    for item in wanted.items:
        try:
            _bring(item, wanted, root, keep_archives)
        except UserError as error:
            problems.append(error)
    # Asked again, since what was brought may show where the rest belongs.
    by_hand = plan(wanted.needs, root).by_hand
    problems += [UserError(f"{item.name} has to be got by hand", item.todo) for item in by_hand]
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise UserError(
            f"{len(problems)} of the {len(wanted.items)} things that {wanted.name} needs are not here",
            f"see above, then {wanted.command}",
            [line for problem in problems for line in (str(problem), *(f"  {more}" for more in problem.details))],
        )
    return list(wanted.missing)


def _bring(item: Item, wanted: Plan, root: DataRoot, keep_archives: bool) -> None:
    if item.source is None:
        return
    if item.piece is None:
        # One that is here is fetched too: this checks it.
        fetch(item.source, root)
    elif item.state == "missing" or wanted.repair:
        put(item.piece, root, keep_archives, wanted.repair)
