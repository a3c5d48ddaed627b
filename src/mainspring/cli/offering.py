"""What a shell offers when Tab is pressed: names and ids that a running owner is asked for."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from click.shell_completion import CompletionItem

from mainspring.cli.texts import shorten_id
from mainspring.domain.command import Command

VARIABLE = "_MAINSPRING_COMPLETE"
"""By which the script of a shell asks this program what to offer; the name is click's."""

_PATIENCE_S = 1.0
_MOST = 100

Offer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
Ask = Callable[[Command], Any]


def offer(*kinds: str) -> Offer:
    """Return what completes an argument: `shell_complete=offer("run")`.

    Parameters
    ----------
    *kinds : str
        Of `_KINDS`: what the argument names.

    Notes
    -----
    Guarantees: no owner is started, and what goes wrong offers nothing. At a server nothing is offered.
    """

    def find(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        try:
            with _within(_PATIENCE_S):
                ask = _reach()
                found = [item for kind in kinds for item in _KINDS[kind](ask)]
        except Exception:  # noqa: BLE001 - a shell that waits for words must get none, not a message
            return []
        return [item for item in found if item.value.startswith(begun)]

    return find


def _reach() -> Ask:
    """Return how to ask the owner that runs; none is started, and only what that needs is imported."""
    from mainspring.domain.wire import decode_reply, encode_request
    from mainspring.sdk.homes import current_home, current_project
    from mainspring.sdk.logins import find_login
    from mainspring.sdk.wires import Wire, dial

    connected = dial(str(current_home().socket)) if find_login() is None else None
    if connected is None:
        raise LookupError
    wire = Wire(connected)
    project = current_project()

    def ask(command: Command) -> Any:
        (reply,) = wire.exchange(encode_request(1, command, project=project), _PATIENCE_S)
        return decode_reply(reply, type(command))[1]

    return ask


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    def late(_signal: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _offer_runs(ask: Ask) -> Iterator[CompletionItem]:
    from mainspring.domain.messages import ListRuns

    for run in ask(ListRuns(limit=_MOST)):
        yield CompletionItem(shorten_id(run.id), help=f"{run.kind} {run.name} {run.state}")


def _offer_versions(kind: Any) -> Callable[[Ask], Iterator[CompletionItem]]:
    def find(ask: Ask) -> Iterator[CompletionItem]:
        from mainspring.domain.messages import ListVersions

        for each in ask(ListVersions(kind, limit=_MOST)):
            yield CompletionItem(each.name, help="the latest")
            yield CompletionItem(each.reference)
            yield from (CompletionItem(f"{each.name}@{alias}", help=each.reference) for alias in each.aliases)

    return find


def _offer_named(module: str, command: str) -> Callable[[Ask], Iterable[CompletionItem]]:
    """Offer the names of what a command of a module of the ground lists."""

    def find(ask: Ask) -> Iterator[CompletionItem]:
        from importlib import import_module

        for each in ask(getattr(import_module(f"mainspring.domain.{module}"), command)()):
            yield CompletionItem(each.name, help=getattr(each, "kind", None))

    return find


def _offer_alarms(ask: Ask) -> Iterator[CompletionItem]:
    from mainspring.domain.messages import ListAlarms

    for alarm in ask(ListAlarms(limit=_MOST)):
        yield CompletionItem(shorten_id(alarm.id), help=f"alarm {alarm.subject} of {alarm.service}")


def _offer_nodes(ask: Ask) -> Iterator[CompletionItem]:
    from mainspring.domain.pools import ListNodes

    for node in ask(ListNodes()):
        yield CompletionItem(node.place, help="drained" if node.drained_by else None)


def _offer_tokens(ask: Ask) -> Iterator[CompletionItem]:
    from mainspring.domain.access import ListTokens

    for token in ask(ListTokens()):
        yield CompletionItem(token.id, help=f"{token.principal} {token.name}".rstrip())


_KINDS: dict[str, Callable[[Ask], Iterable[CompletionItem]]] = {
    "run": _offer_runs,
    "alarm": _offer_alarms,
    "model": _offer_versions("model"),
    "dataset": _offer_versions("dataset"),
    "service": _offer_named("messages", "ListServices"),
    "pipeline": _offer_named("triggers", "ListPipelines"),
    "project": _offer_named("access", "ListProjects"),
    "user": _offer_named("access", "ListUsers"),
    "secret": _offer_named("access", "ListSecrets"),
    "sink": _offer_named("sinks", "ListSinks"),
    "pool": _offer_named("pools", "ListPools"),
    "node": _offer_nodes,
    "token": _offer_tokens,
}
