"""Rows that were sent from elsewhere: a worker commits them, never the owner."""

from __future__ import annotations

from mainspring.control.assets import check_inputs, check_name
from mainspring.control.blobs import check_named
from mainspring.control.turn import Turn
from mainspring.control.usecases import handles, submit
from mainspring.domain.messages import RunSpec
from mainspring.domain.records import Call, Resources, Run
from mainspring.domain.transfers import WriteRows

_SHARE = Resources(cpus=0.1)
"""A commit is short, and somebody waits for it."""


@handles(WriteRows, action="assets.write")
def write_rows(turn: Turn, command: WriteRows) -> Run:
    """Queue the commit of rows that the caller has uploaded.

    Raises
    ------
    Invalid
        DATA-001 when the name is none.
    NotFound
        HOME-010 when an input is no version, HOME-013 when the caller may not name a part.
    """
    check_name(command.name)
    check_inputs(turn, command.inputs)
    check_named(turn, command.parts)
    note = {name: getattr(command, name) for name in ("append", "digest", "details", "inputs", "run_id", "event_time")}
    arguments = {"name": command.name, "parts": command.parts, "after": command.after, "note": note}
    call = Call(job="commit", arguments=arguments)
    return submit(
        turn, RunSpec(kind="commit", name=command.name, parent_id=command.run_id, call=call, resources=_SHARE)
    )
