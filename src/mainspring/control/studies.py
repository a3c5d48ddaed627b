"""Pruning: the owner holds each reported curve against those of the trials before it."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from mainspring.control.turn import Turn
from mainspring.control.usecases import on_reported
from mainspring.domain.messages import Study
from mainspring.domain.records import Run
from mainspring.store import calls, runs, series, tables
from mainspring.store.statements import Statement, pack_ids, unpack_ids
from mainspring.store.words import Text, bindparam, select, type_coerce
from mainspring.tuning.peers import Peers
from mainspring.tuning.pruners import Cut, decide, make_peers

PRUNED_AT = "pruned_at"
"""Tag of a trial: the step at which it was given up."""

_MOST_KNOWN = 64
"""So many studies are remembered at a time; of another one all curves are read again."""

_TRIALS = Statement(
    select(tables.runs.c.id, tables.runs.c.seq, type_coerce(tables.runs.c.tags, Text), tables.runs.c.state).where(
        tables.runs.c.project == bindparam("project_"),
        tables.runs.c.kind == bindparam("kind_"),
        tables.runs.c.name == bindparam("name_"),
        tables.runs.c.seq > bindparam("after"),
        type_coerce(tables.runs.c.tags, Text).like(bindparam("tag_"), escape="/"),
    )
)
_POINTS = Statement(
    select(tables.points.c.run, tables.points.c.step, series.read_value(tables.points))
    .join(tables.series_keys, tables.series_keys.c.id == tables.points.c.key)
    .join(tables.runs, tables.runs.c.seq == tables.points.c.run)
    .where(tables.series_keys.c.key == bindparam("metric_"), tables.runs.c.id.in_(unpack_ids("ids")))
    .order_by(tables.points.c.run, tables.points.c.step)
)


class _Known(NamedTuple):
    """A study, and the ended trials of the rounds before one.

    `last` is the number inside the record of the last of them: a round is submitted when all
    before it have ended, so that whatever is new has a greater one.
    """

    study: Study | None
    round: int
    peers: Peers
    last: int


class _Ended(NamedTuple):
    """A trial of an earlier round that has points to compare with."""

    id: str
    number: int
    pruned_at: int | None


# What it holds never changes: a round begins when all trials before it have ended and were told of.
_known: OrderedDict[tuple[Path, str, str], _Known] = OrderedDict()


@on_reported
def prune_trial(turn: Turn, run: Run) -> None:
    """Give a trial up when the rule of its study says so; asked again it stays given up."""
    if run.kind != "trial" or not {"study", "round"} <= run.tags.keys():
        return
    if PRUNED_AT in run.tags or "fresh_seed" in run.tags:
        return
    known = _find_known(turn, run)
    study = known.study
    if study is None or study.pruner == "none":
        return
    curve = [(step, value) for step, _, value in series.read_series(turn.connection, run.id, study.metric)]
    cut = decide(study.pruner, curve, known.peers, int(run.tags["trial"]))
    if cut is None:
        return
    tags = {**run.tags, PRUNED_AT: str(cut.step)}
    runs.change_run(turn.connection, run, tags=tags, order="prune", reason=_say(study, cut))


def tell_study(turn: Turn, run: Run) -> list[str]:
    """Say how far a search is, and what it has found best."""
    states: dict[int, tuple[str, str]] = {}
    for run_id, _, text, state in _list_trials(turn, run, "trial", 0):
        tags = msgspec.json.decode(text)
        if tags.get("study") == run.tags.get("study") and "fresh_seed" not in tags:
            states[int(tags["trial"])] = (state, run_id)
    counts = Counter(state for state, _ in states.values())
    limits = ", ".join(f"{value:g} {name}" for name, value in (run.params.get("budget") or {}).items() if value)
    lines = [f"{len(states)} trials: {', '.join(f'{n} {state}' for state, n in counts.items())}; budget {limits}"]
    lines += [f"best {name} {value:.6g} in the search" for name, value in run.metrics.items()]
    pruned = [run_id for _, (state, run_id) in sorted(states.items()) if state == "pruned"]
    return lines + ([f"why the last one was pruned: mainspring why {pruned[-1][-6:]}"] if pruned else [])


def _find_known(turn: Turn, run: Run) -> _Known:
    """Return the curves of the trials of earlier rounds; what was read for the round before is read no more."""
    key, round_ = (turn.home.root, run.project, run.tags["study"]), int(run.tags["round"])
    known = _known.pop(key, None)
    if known is None or known.round > round_:
        placed = calls.find_placed(turn.connection, run.id)
        study = placed.study if placed is not None else None
        known = _Known(study, -1, make_peers(study.pruner, study.mode) if study else Peers("max"), 0)
    if known.round < round_ and known.study is not None and known.study.pruner != "none":
        known = _read_more(turn, run, known.study, known._replace(round=round_))
    _known[key] = known
    if len(_known) > _MOST_KNOWN:
        _known.popitem(last=False)
    return known


def _read_more(turn: Turn, run: Run, study: Study, known: _Known) -> _Known:
    ended: dict[int, _Ended] = {}
    for run_id, seq, text, state in _list_trials(turn, run, run.kind, known.last):
        if state not in {"succeeded", "pruned"}:
            continue
        tags = msgspec.json.decode(text)
        if tags.get("study") != run.tags["study"] or "fresh_seed" in tags or int(tags["round"]) >= known.round:
            continue
        ended[seq] = _Ended(run_id, int(tags["trial"]), int(tags[PRUNED_AT]) if PRUNED_AT in tags else None)
    curves: dict[int, list[tuple[int, float]]] = {}
    ids = pack_ids([trial.id for trial in ended.values()])
    for seq, step, value in _POINTS.all(turn.connection, metric_=study.metric, ids=ids):
        pruned_at = ended[seq].pruned_at
        if value is not None and (pruned_at is None or step <= pruned_at):
            curves.setdefault(seq, []).append((step, value))
    for seq, trial in ended.items():
        known.peers.add(trial.number, curves.get(seq, []))
    return known._replace(last=max(ended, default=known.last))


def _list_trials(turn: Turn, run: Run, kind: str, after: int) -> list[list[Any]]:
    """Return (id, seq, tags, state) of the trials of a study above a seq; tags are still text."""
    tag = re.sub("[/%_]", r"/\g<0>", msgspec.json.encode({"study": run.tags["study"]}).decode()[1:-1])
    where = {"project_": run.project, "kind_": kind, "name_": run.name, "tag_": f"%{tag}%", "after": after}
    return _TRIALS.all(turn.connection, **where)


def _say(study: Study, cut: Cut) -> str:
    share = "half" if study.pruner == "median" else "third"
    bound = "at least" if study.mode == "max" else "at most"
    had = f"report {cut.rung} of {study.metric} was {cut.value:.6g}"
    needed = f"the best {share} of {cut.peers} trials before it had {bound} {cut.threshold:.6g} there"
    return f"given up at step {cut.step} by {study.pruner}: {had}, and {needed}"
