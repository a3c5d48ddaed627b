"""Who asks: tokens become principals, and the policy is asked before any use case."""

from __future__ import annotations

from typing import Any

from mainspring.control.foreign import check_calls, check_kept
from mainspring.control.projects import suggest_project
from mainspring.control.turn import Turn
from mainspring.control.usecases import ASKED, loop
from mainspring.domain.command import Command
from mainspring.domain.errors import Denied, Invalid, NotFound
from mainspring.domain.gangs import split_member
from mainspring.domain.messages import BeginRun, FinishRun, Heartbeat, Report, SubmitRuns
from mainspring.domain.principals import ANY_PROJECT, DEFAULT_PROJECT, ROLES, Principal, Role
from mainspring.domain.records import Run
from mainspring.domain.states import OWNED
from mainspring.domain.upkeep import RestoreRuns
from mainspring.security.tokens import WORKER_PREFIX, is_token, read_token_id
from mainspring.store import calls, principals, runs
from mainspring.store.projects import find_project

MINUTE_S = 60.0

_RUN_FIELDS = ("run_id", "parent_id")
_RUN_LISTS = ("ids",)

# Uses of tokens that the record does not know of yet: id -> the minute.
_uses: dict[str, float] = {}


def admit(turn: Turn, command: Command, token: str) -> None:
    """Find out who asks, and refuse who may not; only then is the use case called.

    Parameters
    ----------
    turn : Turn
        Its actor is the connection's user; a token puts another in the place.
    command : Command
        What is asked.
    token : str
        Empty: the connection's user asks.

    Raises
    ------
    Denied
        AUTH-001 to AUTH-004 for a token that is malformed, unknown, expired or revoked; AUTH-005,
        AUTH-006, AUTH-007 or AUTH-010 when the policy says no; AUTH-017 when it begins or ends what
        the owner alone does.
    NotFound
        AUTH-009 when there is no such project, RUN-001 when a run of the command belongs to another.
    Invalid
        API-018 when a client without the home's files would have its workers execute something.
    """
    action = ASKED.get(type(command))
    if action is None:
        raise Invalid("HOME-004", f"this owner does not know {type(command).__name__}")
    if token:
        turn.actor = identify(turn, token)
    turn.require(action)
    if turn.project != DEFAULT_PROJECT and find_project(turn.connection, turn.project) is None:
        fix = suggest_project(turn, turn.project)
        raise NotFound("AUTH-009", f"no project is called {turn.project!r}", fix=fix, name=turn.project)
    if turn.actor.roles.get(ANY_PROJECT) != "admin":
        _check_runs(turn, command)
        _check_speaker(turn, command)
    if turn.actor.kind != "owner":
        _check_kinds(turn, command)
    if isinstance(command, SubmitRuns):
        check_calls(turn, command.runs)
    elif isinstance(command, BeginRun | FinishRun):
        check_kept(turn, command)


def identify(turn: Turn, token: str) -> Principal:
    """Return the principal of a token.

    Raises
    ------
    Denied
        AUTH-001, AUTH-002, AUTH-003 or AUTH-004; AUTH-018 for the worker of who lost the right to run.
    """
    if token.startswith(WORKER_PREFIX):
        return _identify_worker(turn, token.removeprefix(WORKER_PREFIX))
    token_id = read_token_id(token)
    known = principals.find_token(turn.connection, token_id)
    if known is None or not is_token(token, known.digest):
        raise Denied("AUTH-002", f"nobody has the token {token_id}", token=token_id)
    if known.revoked_at is not None or not known.name:
        raise Denied("AUTH-004", f"the token {token_id} of {known.name or 'a removed principal'} was revoked")
    if known.expires_at is not None and known.expires_at <= turn.now():
        raise Denied("AUTH-003", f"the token {token_id} of {known.name} has expired", expires_at=known.expires_at)
    minute = turn.now() // MINUTE_S * MINUTE_S
    if known.last_used_at is None or known.last_used_at < minute:
        _uses[token_id] = minute
    roles = principals.read_roles(turn.connection, known.principal_id)
    return Principal(known.name, known.kind, roles, known.scopes, expires_at=known.expires_at)  # type: ignore[arg-type]


def name_key(turn: Turn, key: str) -> str:
    """Return the name under which an answer is kept: nobody is answered with another's."""
    return f"{turn.actor}/{turn.project}/{key}"


@loop(every_s=30.0, durable=False)
def note_uses(turn: Turn) -> None:
    """Write down when tokens were used last, to the minute; not with each request."""
    while _uses:
        principals.note_use(turn.connection, *_uses.popitem())


def _identify_worker(turn: Turn, shown: str) -> Principal:
    run_id = shown.partition("-")[0]
    placed = calls.find_placed(turn.connection, run_id)
    if placed is None or not is_token(shown, placed.token or ""):
        raise Denied("AUTH-002", "no attempt of a run has this token")
    run = runs.get_run(turn.connection, run_id)
    if runs.is_ended(run):
        raise Denied("AUTH-003", f"run {run_id} has ended, and with it the token of its worker")
    return Principal(f"{run.id}-{run.attempt}", "worker", {run.project: _role_of_run(turn, run)}, run_id=run.id)


def _role_of_run(turn: Turn, run: Run) -> Role:
    """A worker may what its submitter may, and no more than an editor.

    Who has no account is the home's own user, or the owner for an applied trigger: with an account
    its runs end.
    """
    kind, _, name = run.principal.partition(":")
    account = principals.find_account(turn.connection, kind=kind, name=name) if name else None
    if account is None and kind != "service":
        return "editor"
    role = Principal(name, "user", account.roles).role_in(run.project) if account is not None else None
    if role is None:
        raise Denied(
            "AUTH-018", f"{run.principal} has submitted run {run.id} and may nothing here any more", run=run.id
        )
    return min(role, "editor", key=ROLES.index)


def _check_runs(turn: Turn, command: Command) -> None:
    """Refuse runs of other projects as if they were not there, and a worker's reach beyond its own run."""
    ids = list_run_ids(command)
    if not ids:
        return
    foreign = runs.find_foreign(turn.connection, turn.project, ids)
    if foreign is not None and not isinstance(command, RestoreRuns):  # which looks at its project's deletions alone
        raise runs.no_run(foreign)
    if turn.actor.kind == "worker" and not all(is_below(turn, run_id, turn.actor.run_id) for run_id in ids):
        raise Denied("AUTH-010", f"{turn.actor} reaches for run {ids[0]}", run=ids[0])


def _check_speaker(turn: Turn, command: Command) -> None:
    """Refuse a job of the platform, and words about runs of the owner, except from their own worker."""
    if isinstance(command, SubmitRuns) and any(spec.call.job for spec in command.runs):
        raise Denied("AUTH-017", f"{turn.actor} submits a job of the platform")
    if isinstance(command, FinishRun) and command.call is not None and command.call.job:
        raise Denied("AUTH-017", f"{turn.actor} keeps a job of the platform as the call of run {command.run_id}")
    if isinstance(command, FinishRun | Report | Heartbeat):
        for run_id in list_run_ids(command):
            held = runs.find_held(turn.connection, run_id)
            if held and held[0].kind in OWNED and turn.actor.run_id != run_id:
                raise Denied("AUTH-017", f"{turn.actor} speaks for {held[0].kind} {run_id}", run=run_id)


def _check_kinds(turn: Turn, command: Command) -> None:
    """Refuse a run of a kind that the owner alone begins: its end would move an alias or a service."""
    wanted = [command] if isinstance(command, BeginRun) else command.runs if isinstance(command, SubmitRuns) else []
    for each in wanted:
        if each.kind in OWNED:
            raise Denied("AUTH-017", f"{turn.actor} begins a run of kind {each.kind}", kind=each.kind)


def list_run_ids(command: Any) -> list[str]:
    """Return the whole ids of runs that a command names, those inside its lists of specs and leases too."""
    ids = [value for name in _RUN_FIELDS if isinstance(value := getattr(command, name, None), str)]
    for name in _RUN_LISTS:
        ids += getattr(command, name, ())
    for spec in getattr(command, "runs", ()):
        ids += list_run_ids(spec)
    ids += [split_member(name)[0] for name, _, _ in getattr(command, "leases", ())]
    return [run_id for run_id in ids if run_id]


def is_below(turn: Turn, run_id: str, top: str) -> bool:
    """Tell whether a run is another one, or lies below it."""
    seen: str | None = run_id
    while seen is not None and seen != top:
        found = runs.find_held(turn.connection, seen)
        seen = found[0].parent_id if found else None
    return seen == top
