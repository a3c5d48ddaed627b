"""Runs as calls make them, and kept results: which earlier run answers a call, and why or why not."""

from __future__ import annotations

from mainspring.control.ancestors import list_ancestors, must_run
from mainspring.control.assets import find_version
from mainspring.control.experiments import find_or_add
from mainspring.control.finishing import find_parent
from mainspring.control.turn import Turn
from mainspring.domain.messages import BeginRun, RunSpec
from mainspring.domain.principals import ANY_PROJECT
from mainspring.domain.records import Fingerprint, Run
from mainspring.pipelines.reasons import explain
from mainspring.store import runs
from mainspring.store.follows import list_follows
from mainspring.store.uses import copy_uses


def make_run(turn: Turn, wanted: BeginRun | RunSpec) -> Run:
    """Make the run of a call, not yet in the record.

    Parameters
    ----------
    turn : Turn
        The turn.
    wanted : BeginRun or RunSpec
        A call.

    Returns
    -------
    Run
        Ended, with `cached_from`, when a kept result answers the call; else running. Its reason
        says why it was, or was not, answered.

    Raises
    ------
    Conflict
        RUN-002 when the run above it has ended, EXP-003 when its experiment is deleted.
    NotFound
        RUN-001 when there is no run above it.
    Invalid
        RUN-022 when it lies too deep.
    """
    parent = find_parent(turn, wanted.parent_id)
    run_id = turn.new_id()
    anew = must_run(turn, list_ancestors(turn, parent), wanted.name, run_id)
    source, reason = _find_source(turn, wanted, anew or ("" if wanted.cache else "cache=False"))
    now = turn.now()
    if wanted.experiment:
        find_or_add(turn, wanted.experiment)
    run = Run(
        run_id,
        turn.project,
        wanted.kind,
        wanted.name,
        "running",
        reason=reason,
        parent_id=wanted.parent_id,
        fence=1,
        key=wanted.key,
        fingerprint=wanted.fingerprint,
        params=wanted.params,
        tags=wanted.tags,
        resources=wanted.resources,
        principal=_find_principal(turn, parent),
        created_at=now,
        experiment=wanted.experiment or (parent.experiment if parent else ""),
        provenance=wanted.provenance or (parent.provenance if parent else None),
    )
    if source is not None:
        run.state, run.started_at, run.ended_at = "succeeded", now, now
        run.cached_from, run.outputs, run.details = source.id, source.outputs, source.details
        copy_uses(turn.connection, source.id, run.id)
    return run


def _find_principal(turn: Turn, parent: Run | None) -> str:
    """Say in whose name a run runs: what a worker begins runs in the name of those for whom it works.

    Workers of the home ask as its user, who may act in any name; nobody else takes the name of the run above.
    """
    works = turn.actor.kind == "worker" or turn.actor.roles.get(ANY_PROJECT) == "admin"
    return parent.principal if parent is not None and works else str(turn.actor)


def _find_source(turn: Turn, wanted: BeginRun | RunSpec, refused: str) -> tuple[Run | None, str]:
    """Find the run whose result answers a call.

    Parameters
    ----------
    turn : Turn
        The turn.
    wanted : BeginRun or RunSpec
        A call; without a key nothing is looked up.
    refused : str
        Why no kept result may answer; empty: one may.

    Returns
    -------
    tuple of Run or None and str
        A success of the same key whose bytes are there, or None; and the reason in one line,
        empty without a key.

    Notes
    -----
    Guarantees: a failed, cancelled or pruned run never answers; neither does one that read the
    latest version of a name, or an alias, which names other content now, nor one whose bytes are
    gone, which is then forgotten as a result.
    """
    if wanted.key is None:
        return None, ""
    source = runs.find_result(turn.connection, turn.project, wanted.key) if not refused else None
    moved = ""
    if source is not None and source.outputs is not None:
        moved = _find_moved(turn, source)
        if not moved and turn.blobs.exists(source.outputs.digest):
            return source, explain(_print(source), _print(wanted), name=wanted.name, since=source.id)
        if not moved:
            runs.drop_result(turn.connection, source)
    before = runs.find_earlier(turn.connection, turn.project, wanted.kind, wanted.name, wanted.key)
    if before is None:
        return None, explain(None, _print(wanted), name=wanted.name)
    unusable = refused or moved or _why_not(before)
    return None, explain(_print(before), _print(wanted), name=wanted.name, since=before.id, unusable=unusable)


def _find_moved(turn: Turn, source: Run) -> str:
    """Say which reference that the run followed names other content now; empty when none does."""
    for followed in list_follows(turn.connection, source.id):
        now = find_version(turn, followed.kind, followed.reference)
        if now is None or now.digest != followed.digest:
            before = f"{followed.name}@{followed.number}"
            return f"{followed.reference} was {before}, is now {now.reference if now else 'gone'}"
    return ""


def _why_not(before: Run) -> str:
    if not runs.is_ended(before):
        return f"run {before.id[-6:]} has not ended"
    if before.state == "succeeded":
        return "its result is gone"
    return f"run {before.id[-6:]} {'' if before.state == 'failed' else 'was '}{before.state}"


def _print(call: BeginRun | RunSpec | Run) -> Fingerprint:
    # A caller may have a key of its own making; then the key is all that is known to differ.
    return call.fingerprint or Fingerprint(0, {}, {"key": call.key or ""}, {})
