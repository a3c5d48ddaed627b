"""Environments of steps: who wants one locked is answered with the run that has locked it, or does."""

from __future__ import annotations

from mainspring.control.turn import Turn
from mainspring.control.usecases import handles, submit
from mainspring.domain.environments import LockEnvironment, check_packages, name_lock
from mainspring.domain.messages import RunSpec
from mainspring.domain.records import Call, Resources, Run
from mainspring.store import runs

KEPT_FAILURE_S = 60.0
"""So long a failure answers, too: a thousand calls of one environment do not resolve it a thousand times."""

_NAME = "environment"
_SHARE = Resources(cpus=0.1)
"""Resolving waits for an index more than it works, and somebody waits for it."""
_TIMEOUT_S = 660.0


@handles(LockEnvironment, action="runs.start")
def lock_environment(turn: Turn, command: LockEnvironment) -> Run:
    """Answer with the run that locks requirements; they are resolved once for a project and an interpreter.

    Raises
    ------
    Invalid
        ENV-001 when one is no requirement by name.
    """
    check_packages(command.packages)
    packages = sorted({" ".join(each.split()) for each in command.packages})
    key = name_lock(packages, command.python)
    known = runs.find_earlier(turn.connection, turn.project, _NAME, _NAME, key)
    if known is not None and known.kind == _NAME and known.key == key and _answers(turn, known):
        return known
    call = Call(job=_NAME, arguments={"packages": packages}, python=command.python)
    spec = RunSpec(
        kind=_NAME,
        name=_NAME,
        call=call,
        params={"packages": packages},
        key=key,
        resources=_SHARE,
        timeout_s=_TIMEOUT_S,
    )
    return submit(turn, spec)


def _answers(turn: Turn, run: Run) -> bool:
    if not runs.is_ended(run):
        return True
    if run.state == "failed":
        return turn.now() - (run.ended_at or 0.0) < KEPT_FAILURE_S
    return run.state == "succeeded" and isinstance(run.details, dict) and turn.blobs.exists(run.details["lock"])
