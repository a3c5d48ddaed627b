"""What is above a run: how deep it lies, and whether earlier results may answer it."""

from __future__ import annotations

from mainspring.control.turn import Turn
from mainspring.domain.errors import Invalid
from mainspring.domain.records import Run
from mainspring.domain.retries import ANEW_FROM, ANEW_RUN
from mainspring.store import runs

MOST_DEPTH = 32
"""So many runs may lie one below the other; more is a recursion without an end."""


def list_ancestors(turn: Turn, parent: Run | None) -> list[runs.Above]:
    """Return what is above a new run, the nearest first.

    Raises
    ------
    Invalid
        RUN-022 when there is more above it than may be.
    """
    if parent is None:
        return []
    line = [runs.Above(parent.id, parent.name, parent.parent_id, parent.tags)]
    while (above := line[-1].parent_id) is not None:
        line.append(runs.read_above(turn.connection, above))
        if len(line) >= MOST_DEPTH:
            names = " > ".join(each.name for each in line[3::-1])
            what = f"a run below {parent.name} {parent.id[-6:]} would be number {len(line) + 1} of a line: {names}"
            raise Invalid("RUN-022", what, run=parent.id)
    return line


def must_run(turn: Turn, line: list[runs.Above], name: str, run_id: str) -> str:
    """Say why no earlier result may answer a new run; empty when one may.

    Parameters
    ----------
    turn : Turn
        The turn.
    line : list of Above
        What is above the run.
    name, run_id : str
        Of the run. The first one of the name that a run above it was asked to go on from is noted
        there: it and all that begins after it run anew.
    """
    for above in line:
        asked = above.tags.get(ANEW_FROM)
        if asked is None:
            continue
        if ANEW_RUN not in above.tags:
            if name != asked:
                return ""
            runs.change_run(
                turn.connection, runs.get_run(turn.connection, above.id), tags={**above.tags, ANEW_RUN: run_id}
            )
        return f"asked to run again from {asked} on"
    return ""
