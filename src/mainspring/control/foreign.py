"""Calls from other machines: whether workers of this home run them, and as whose."""

from __future__ import annotations

import os
from collections.abc import Sequence

from msgspec.structs import replace

from mainspring.control.blobs import check_named, reaches_files
from mainspring.control.turn import Turn
from mainspring.domain.environments import check_variables
from mainspring.domain.errors import Denied, Invalid
from mainspring.domain.messages import BeginRun, FinishRun, RunSpec
from mainspring.domain.records import Call, Snapshot


def check_calls(turn: Turn, specs: Sequence[RunSpec | BeginRun]) -> None:
    """Refuse calls that whoever has not the files of the home may not have its workers execute; mark the others.

    Raises
    ------
    Invalid
        API-018 when one names an interpreter, paths or a folder of the home's machine, or the home runs no code
        of others; ENV-005 for a variable that may not be set.
    Denied
        AUTH-005, AUTH-006, AUTH-007 or AUTH-010 for who may not have code run.
    NotFound
        HOME-013 when the caller may not name a blob of one.
    """
    near = reaches_files(turn)
    for spec in specs:
        assert spec.call is not None
        # An admin may be on another machine, too: then the call brings its code.
        spec.call = replace(spec.call, foreign="") if near and not spec.call.snapshot else _mark(turn, spec)
    calls = [spec.call for spec in specs if spec.call is not None and spec.call.foreign]
    if not calls:
        return
    check_allowed(turn)
    check_named(turn, sorted({each for call in calls for each in call.blobs}))
    sent = {"runs": len(calls), "code": sorted({call.snapshot[:12] for call in calls})}
    turn.audit("runs.submit_code", specs[0].name, after=sent)


def check_allowed(turn: Turn) -> None:
    """Refuse to have code of another machine run.

    Raises
    ------
    Invalid
        API-018 unless the home's owner lets it in.
    Denied
        For who may not.
    """
    if os.environ.get("MAINSPRING_REMOTE_CODE") != "1":
        why = "workers of this home run no code of other machines: MAINSPRING_REMOTE_CODE is not 1 where it starts"
        raise Invalid("API-018", "code does not travel to this home", why=why)
    turn.require("runs.submit_code")


def check_applied(turn: Turn, name: str, snapshot: Snapshot, folder: str) -> None:
    """Refuse a pipeline of whoever has not the files of the home, where its triggers could not start it for them.

    Raises
    ------
    Invalid
        API-018 when it names an interpreter or folder of the home's machine, or the home runs no code of others.
    Denied
        For who may not have code run.
    """
    if reaches_files(turn):
        return
    if snapshot.python or folder:
        raise Invalid("API-018", f"pipeline {name} names places of the home's machine", name=name)
    check_allowed(turn)


def check_kept(turn: Turn, command: BeginRun | FinishRun) -> None:
    """Refuse to keep, for another time, a call of whoever has not the files of the home.

    A search is kept where its trials may run; elsewhere it begins without its call, for a result of earlier may
    answer it, and its trials say what is wrong.

    Raises
    ------
    Invalid
        API-018.
    NotFound
        HOME-013 when the caller may not name a blob of the search.
    """
    if command.call is None:
        return
    if isinstance(command, BeginRun) and command.kind == "study":
        try:
            check_calls(turn, [command])
        except (Invalid, Denied):
            command.call = None
    elif not reaches_files(turn):
        name = command.name if isinstance(command, BeginRun) else command.run_id
        raise Invalid("API-018", f"the call of {name} does not travel to this home", name=name)


def _mark(turn: Turn, spec: RunSpec | BeginRun) -> Call:
    """Return a call as the record keeps it: whose it is, with workers of its own, and nothing for what forks them."""
    call = spec.call
    assert call is not None
    if call.python or call.paths or call.folder:
        what = f"{spec.kind} {spec.name} names places of the home's machine"
        raise Invalid("API-018", what, name=spec.name)
    check_variables(call.variables)
    whose = str(turn.actor)
    return replace(call, foreign=whose, preload=(), code_digest=f"{whose} {turn.project} {call.snapshot}")
