"""The registry of use cases, loops and hooks; modules of control fill it when they are imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from mainspring.control.turn import Turn
from mainspring.domain.home import Home
from mainspring.domain.messages import Command, RunSpec, SubmitRuns
from mainspring.domain.records import Run
from mainspring.security.policy import ACTIONS

F = TypeVar("F", bound=Callable[..., Any])


class Later(msgspec.Struct, frozen=True):
    """A use case's answer when there is none yet.

    The request is tried again when one of the topics is notified, and a last time with
    `Turn.expired` when it has waited `wait_s` in all. What the use case wrote stays written.

    Attributes
    ----------
    topics : tuple of str
        What could bring the answer: a run's id, ``queue``, ``events`` ...
    wait_s : float
        Seconds from the request's arrival, >= 0.
    """

    topics: tuple[str, ...]
    wait_s: float


class Loop(msgspec.Struct, frozen=True):
    """A reconcile loop: what to call, how often, and the topics that call it at once, or within the turn."""

    call: Callable[[Turn], None]
    every_s: float
    topics: tuple[str, ...] = ()
    durable: bool = True
    once: bool = False
    joins: bool = False


PASSING: set[type[Command]] = set()
READING: set[type[Command]] = set()
UNKEPT: set[type[Command]] = set()
REHEARSED: set[type[Command]] = set()
HANDLERS: dict[type[Command], Callable[[Turn, Any], Any]] = {}
ASKED: dict[type[Command], str] = {}
"""Command -> the action that whoever asks it must be allowed."""
LOOPS: list[Loop] = []
FINISHED: dict[str, list[Callable[[Turn, Run], None]]] = {}
REPORTED: list[Callable[[Turn, Run], None]] = []
HOLDS: list[Callable[[Turn], str | None]] = []
ADOPTIONS: list[Callable[[Turn], None]] = []
ENDINGS: list[Callable[[Home], None]] = []


def handles(
    command: type[Command],
    *,
    action: str,
    durable: bool = True,
    reads: bool = False,
    kept: bool = True,
    rehearsed: bool = False,
) -> Callable[[F], F]:
    """Register a use case: ``function(turn, command) -> answer or Later``.

    It raises a `MainspringError` to refuse; then nothing that it wrote stays.

    Parameters
    ----------
    command : type of Command
        What it answers.
    action : str
        A name of `mainspring.security.policy.ACTIONS`: decided on before the use case is called.
    durable : bool, default True
        False: what it writes is about processes that live now, so its answer need not wait for
        the disk; it outlives the owner, but not the power.
    reads : bool, default False
        True: it writes nothing, so it need not wait until no other owner writes.
    kept : bool, default True
        False: its answer holds a secret, so it is told once and not kept for a repetition.
    rehearsed : bool, default False
        True: it may be tried and undone, since it acts on the record alone, and on all else after the commit.

    Raises
    ------
    ValueError
        The action is none, or the command has a use case (mistakes of the programmer).
    """
    if action not in ACTIONS:
        raise ValueError(f"{command.__name__} asks for {action!r}, which is no action of the policy")

    def register(function: F) -> F:
        if command in HANDLERS:
            raise ValueError(f"two use cases for {command.__name__}")
        HANDLERS[command] = function
        ASKED[command] = action
        if not durable:
            PASSING.add(command)
        if reads:
            READING.add(command)
        if not kept:
            UNKEPT.add(command)
        if rehearsed:
            REHEARSED.add(command)
        return function

    return register


def submit(turn: Turn, spec: RunSpec) -> Run:
    """Queue a run in the same turn and savepoint.

    One that was submitted before answers, unless it failed or was cancelled: what hindered it may
    be mended, so it is queued anew.
    """
    run = _submit(turn, spec)
    while run.state in {"failed", "cancelled"}:
        run = _submit(turn, replace(spec, dedupe=f"{spec.dedupe}:{run.id}"))
    return run


def _submit(turn: Turn, spec: RunSpec) -> Run:
    runs: list[Run] = HANDLERS[SubmitRuns](turn, SubmitRuns(runs=[spec]))
    return runs[0]


def loop(
    *, every_s: float, topics: tuple[str, ...] = (), durable: bool = True, once: bool = False, joins: bool = False
) -> Callable[[F], F]:
    """Register a reconcile loop: ``function(turn)``, called inside a transaction of its own.

    Parameters
    ----------
    every_s : float
        Seconds between two calls, > 0.
    topics : tuple of str
        Topics whose notification calls it at once, in the turn after.
    durable : bool, default True
        As for `handles`.
    once : bool, default False
        Of all owners that share the record one calls it, under a lease; otherwise each does, for
        what its own node holds.
    joins : bool, default False
        A turn that notifies one of the topics calls it before it commits, so that both are one transaction.

    Notes
    -----
    A loop that raises is logged and called again; what it wrote in that call is undone.
    """

    def register(function: F) -> F:
        LOOPS.append(Loop(function, every_s, topics, durable, once, joins))
        return function

    return register


def on_finished(kind: str) -> Callable[[F], F]:
    """Register ``function(turn, run)``, called in the transaction that ends a run of that kind.

    ``"*"`` stands for every kind. It must not raise for what a user did.
    """

    def register(function: F) -> F:
        FINISHED.setdefault(kind, []).append(function)
        return function

    return register


def on_reported(function: F) -> F:
    """Register ``function(turn, run)``, called in the transaction that took new points of a run."""
    REPORTED.append(function)
    return function


def holds(function: F) -> F:
    """Register ``function(turn) -> reason or None``: a reason keeps the owner from ending idle."""
    HOLDS.append(function)
    return function


def adopts(function: F) -> F:
    """Register ``function(turn)``, called once before an owner answers: take a dead owner's work on."""
    ADOPTIONS.append(function)
    return function


def ends(function: F) -> F:
    """Register ``function(home)``, called once when an owner ends in an orderly way: let go of what is outside."""
    ENDINGS.append(function)
    return function
