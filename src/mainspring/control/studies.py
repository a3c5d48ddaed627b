"""Pruning: the owner holds each reported curve against those of the trials before it."""

from __future__ import annotations

import msgspec
from sqlalchemy import Text, select, type_coerce

from mainspring.control.turn import Turn
from mainspring.control.usecases import on_reported
from mainspring.domain.messages import Study
from mainspring.domain.records import Run
from mainspring.store import rows, tables
from mainspring.tuning.pruners import decide

PRUNED_AT = "pruned_at"
"""Tag of a trial: the step at which it was given up."""


@on_reported
def prune_trial(turn: Turn, run: Run) -> None:
    """Give a trial up when the rule of its study says so; asked again it stays given up."""
    if "study" not in run.tags or PRUNED_AT in run.tags:
        return
    study = turn.connection.execute(select(tables.calls.c.study).where(tables.calls.c.run_id == run.id)).scalar()
    if study is None or study.pruner == "none":
        return
    curves = _read_curves(turn, run, study)
    curve = curves.pop(run.id, [])
    step = decide(study.pruner, study.mode, curve, list(curves.values()))
    if step is None:
        return
    tags = {**run.tags, PRUNED_AT: str(step)}
    rows.change(turn.connection, tables.runs, {"id": run.id}, tags=tags, order="prune", reason=_say(study, step))


def _read_curves(turn: Turn, run: Run, study: Study) -> dict[str, list[tuple[int, float]]]:
    """Return the curves of the trial and of the trials of earlier rounds of its study."""
    peers = _find_peers(turn, run)
    query = (
        select(tables.points.c.run, tables.points.c.step, tables.points.c.value)
        .join(tables.series_keys, tables.series_keys.c.id == tables.points.c.key)
        .where(tables.series_keys.c.key == study.metric, tables.points.c.run.in_([*peers]))
        .order_by(tables.points.c.step)
    )
    curves: dict[str, list[tuple[int, float]]] = {}
    for seq, step, value in turn.connection.execute(query):
        ident, pruned_at = peers[seq]
        if value is not None and (pruned_at is None or step <= pruned_at):
            curves.setdefault(ident, []).append((step, value))
    return curves


def _find_peers(turn: Turn, run: Run) -> dict[int, tuple[str, int | None]]:
    table = tables.runs
    # A step may have been searched many times: only this study's trials are worth being decoded.
    tag = msgspec.json.encode({"study": run.tags["study"]}).decode()[1:-1]
    query = select(table.c.seq, table.c.id, table.c.tags, table.c.state).where(
        table.c.project == run.project,
        table.c.kind == run.kind,
        table.c.name == run.name,
        type_coerce(table.c.tags, Text).contains(tag, autoescape=True),
    )
    peers: dict[int, tuple[str, int | None]] = {}
    for seq, ident, tags, state in turn.connection.execute(query):
        if tags.get("study") != run.tags["study"]:
            continue
        pruned_at = int(tags[PRUNED_AT]) if PRUNED_AT in tags else None
        ended = state in {"succeeded", "pruned"} and int(tags["round"]) < int(run.tags["round"])
        if ident == run.id or ended:
            peers[seq] = (ident, pruned_at)
    return peers


def _say(study: Study, step: int) -> str:
    return f"given up at step {step} by {study.pruner}: {study.metric} lies behind the trials before it"
