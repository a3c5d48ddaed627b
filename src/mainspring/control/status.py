"""The home at a glance, and its events."""

from __future__ import annotations

import os
import time

from mainspring.control.goals import list_goals
from mainspring.control.queue import explain_wait
from mainspring.control.services import list_services
from mainspring.control.sinks import list_lags
from mainspring.control.turn import Turn
from mainspring.control.usecases import Later, handles
from mainspring.domain import messages
from mainspring.domain.glance import Waiter
from mainspring.domain.principals import ANY_PROJECT
from mainspring.domain.records import Alarm, Event
from mainspring.store import calls, runs, search
from mainspring.store.engine import dialect_of
from mainspring.store.events import list_events as read_events
from mainspring.store.holdings import read_usage
from mainspring.store.rows import find
from mainspring.store.tables import HEAD, alarms

_STARTED_AT = time.time()


@handles(messages.GetStatus, action="home.read", reads=True)
def get_status(turn: Turn, command: messages.GetStatus) -> messages.Status:  # noqa: ARG001
    """Answer with what the home holds and does."""
    home = turn.home
    used_bytes, quota_bytes = read_usage(turn.connection, turn.project)
    # Where things lie on this machine is for whoever owns it.
    rules = turn.actor.role_in(ANY_PROJECT) == "admin"
    return messages.Status(
        home=str(home.root) if rules else "",
        record=home.place if rules else "",
        size_bytes=dialect_of(turn.connection).size_bytes(turn.connection, home),
        schema=HEAD,
        pid=os.getpid(),
        started_at=_STARTED_AT,
        runs=runs.count_states(turn.connection, turn.project),
        workers=calls.count_workers(turn.connection),
        services=list_services(turn, messages.ListServices()),
        alarms=len(find(turn.connection, alarms, Alarm, project=turn.project, state="open")),
        network_home=home.state != home.root,
        used_bytes=used_bytes,
        quota_bytes=quota_bytes,
        sinks=list_lags(turn),
        goals=list_goals(turn),
        waits=_find_waiter(turn),
        failed=_find_failed(turn),
    )


def _find_waiter(turn: Turn) -> Waiter | None:
    first = search.find_oldest(turn.connection, turn.project, "queued")
    return None if first is None else Waiter(first.id, first.name, explain_wait(turn, first), first.created_at)


def _find_failed(turn: Turn) -> str | None:
    newest = search.list_runs(turn.connection, turn.project, messages.ListRuns(limit=1))
    return newest[0].id if newest and newest[0].state == "failed" else None


@handles(messages.ListEvents, action="events.read", reads=True)
def list_events(turn: Turn, command: messages.ListEvents) -> list[Event] | Later:
    """Answer with events after a number, waiting for one when there is none."""
    found = read_events(turn.connection, turn.project, command)
    if not found and command.wait_s > 0 and not turn.expired:
        return Later(("events",), command.wait_s)
    return found
