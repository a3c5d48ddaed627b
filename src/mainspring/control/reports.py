"""What runs tell while they live: points, params, tags; and what they are told back."""

from __future__ import annotations

from functools import partial
from typing import Any

from mainspring.control.blobs import use_artifacts
from mainspring.control.turn import Turn
from mainspring.control.usecases import REPORTED, handles
from mainspring.domain import messages
from mainspring.domain.records import Run
from mainspring.domain.tracking import CHECKPOINT
from mainspring.store import artifacts, histories, runs, series
from mainspring.tracking.journal import journal_path, read_end, read_report


@handles(messages.Report, action="runs.report", durable=False)
def report(turn: Turn, command: messages.Report) -> messages.Reported:
    """Take points, params and tags of a live run; what was delivered before is dropped."""
    run, hold = runs.get_held(turn.connection, command.run_id)
    order = find_order(run, hold, command.attempt, command.fence)
    if runs.is_ended(run) or order == "lost":
        return messages.Reported(order, hold.journal_offset)
    if command.offset <= hold.journal_offset and command.offset:
        return messages.Reported(order, hold.journal_offset)
    if run.attempt > 1 and command.points:
        series.drop_overtaken(turn.connection, hold.seq, run.attempt, command.points)
    series.add_points(turn.connection, hold.seq, run.attempt, command.points)
    new = use_artifacts(turn, run, command.artifacts)
    artifacts.add_artifacts(turn.connection, hold.seq, new)
    told: dict[str, Any] = {"journal_offset": max(command.offset, hold.journal_offset)}
    saved = [each.time for each in new if each.name == CHECKPOINT]
    if saved:
        told["saved_at"] = max(saved)
    if command.params:
        told["params"] = {**run.params, **command.params}
    if command.tags:
        told["tags"] = {**run.tags, **command.tags}
    runs.change_run(turn.connection, run, **told)
    run.params, run.tags = told.get("params", run.params), told.get("tags", run.tags)
    if command.points:
        for hook in REPORTED:
            hook(turn, run)
    return messages.Reported(runs.read_order(turn.connection, run.id), command.offset)


@handles(messages.GetSeries, action="runs.read", reads=True)
def get_series(turn: Turn, command: messages.GetSeries) -> list[tuple[int, float, float]]:
    """Answer with the points of one metric, all or thinned out."""
    run = runs.find_run(turn.connection, turn.project, command.run_id)
    if command.most is None:
        return series.read_series(turn.connection, run.id, command.key)
    found = histories.find_series(turn.connection, turn.project, run.id, command.key)
    return [] if found is None else histories.thin_out(turn.connection, found, command.most)


def sweep_journal(turn: Turn, run: Run) -> messages.FinishRun | None:
    """Take what the present attempt of a live run logged and could not send any more.

    Parameters
    ----------
    turn : Turn
        The turn.
    run : Run
        A run whose process has ended; its journal is on this machine or nowhere.

    Returns
    -------
    FinishRun or None
        How its process said that it ended, when it could tell nobody.
    """
    path = journal_path(turn.home.journals, run.id, run.attempt)
    _, hold = runs.get_held(turn.connection, run.id)
    offset = hold.journal_offset
    while found := read_report(path, run.id, run.attempt, run.fence, offset):
        offset = found.offset
        if report(turn, found).offset < offset:
            break  # the run has ended: nothing more is taken
    told = read_end(path)
    turn.after_commit(partial(path.unlink, missing_ok=True))
    return told


def find_order(run: Run, hold: runs.Hold, attempt: int, fence: int) -> str:
    """Return what the process of an attempt is to do: ``keep``, ``cancel``, ``prune`` or ``lost``."""
    if (run.attempt, run.fence) != (attempt, fence):
        return "lost"
    if runs.is_ended(run):
        return "cancel" if run.state == "cancelled" else "lost"
    return hold.order
