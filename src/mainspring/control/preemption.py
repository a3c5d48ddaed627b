"""How runs come to give way: the queue or somebody says so, and their engines are told.

A run that gives way stays ``running`` with its place until its engine says that the attempt has ended; then it is
queued again (`mainspring.control.finishing.give_back`). What it tells until then counts: what it logs, a checkpoint,
even its result.
"""

from __future__ import annotations

from mainspring.control.finishing import tell_whom
from mainspring.control.placement import list_delegated
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain.errors import Conflict
from mainspring.domain.pools import split_place
from mainspring.domain.preemptions import PreemptRuns
from mainspring.domain.records import Run
from mainspring.domain.states import YIELDING
from mainspring.store import calls, runs


@handles(PreemptRuns, action="runs.preempt", rehearsed=True)
def preempt_runs(turn: Turn, command: PreemptRuns) -> list[Run]:
    """Have runs give way; all or none.

    Raises
    ------
    Conflict
        RUN-025 when one holds no place that it could give back.
    """
    ids = runs.find_ids_of(turn.connection, turn.project, command.ids)
    for run in runs.get_runs(turn.connection, ids):
        refusal = _find_refusal(turn, run)
        if refusal:
            raise Conflict("RUN-025", f"{run.kind} {run.name} {run.id[-6:]} {refusal}", run=run.id)
        order_way(turn, run.id, f"{turn.actor}, by hand")
    return runs.get_runs(turn.connection, ids)


def order_way(turn: Turn, run_id: str, whom: str) -> None:
    """Have a run give way; nothing happens when it holds no place any more, or gives way already.

    Parameters
    ----------
    turn : Turn
        The turn; engines are told in one after it.
    run_id : str
        The run.
    whom : str
        To which run, or by whose word.
    """
    run, hold = runs.get_held(turn.connection, run_id)
    if run.state not in {"starting", "running"} or hold.gives_way:
        return
    runs.change_run(turn.connection, run, gives_way=whom, reason=f"gives way to {tell_whom(turn, whom)}")
    turn.notify(run.id)
    turn.notify("unwanted")


def _find_refusal(turn: Turn, run: Run) -> str:
    """Return why a run cannot give way; empty when it can."""
    if run.state not in {"starting", "running"}:
        return f"is {run.state}"
    if not calls.was_placed(turn.connection, run.id):
        return "runs in the process that called it"
    if run.kind not in YIELDING:
        return "is one that others wait for"
    pool = split_place(run.place)[0]
    if pool in list_delegated(turn):
        return f"is in the pool {pool}, which has a queue of its own"
    return ""
