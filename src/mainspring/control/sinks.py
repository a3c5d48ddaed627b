"""Use cases of sinks: where the events of a project are sent."""

from __future__ import annotations

import re
from typing import Any

from mainspring.control.secrets import find_secret
from mainspring.control.turn import Turn
from mainspring.control.usecases import Later, handles
from mainspring.domain import sinks as messages
from mainspring.domain.errors import Conflict, Invalid, NotFound, Unavailable
from mainspring.domain.sinks import Answered, Lag, Sink
from mainspring.sinks.kind import check_options, find_kind
from mainspring.store import sinks as store

TEST_S = 70.0
"""Seconds that a test may take: the longest time limit of a sink, and the start of what sends it."""

_FRESH_S = 10.0
"""Seconds in which the answer to a test is picked up by who asked for it."""

MOST_SINKS = 50
"""Of a project."""

_MOST_PATTERNS = 50
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}\Z")
_PATTERN = re.compile(r"(\*|[a-z_]+(\.[a-z_]+)*(\.\*)?)\Z")


@handles(messages.AddSink, action="sinks.write", rehearsed=True)
def add_sink(turn: Turn, command: messages.AddSink) -> Sink:
    """Send events from now on; one that is there goes on, with what is said now, where it was.

    Raises
    ------
    Invalid
        SINK-002, SINK-003, SINK-004 or FETCH-005 for what could never be sent.
    Denied
        FETCH-001 for an address inside.
    NotFound
        SECRET-001 when the project has no such secret.
    Conflict
        SINK-008 when the project has as many as it may.
    """
    if not _NAME.match(command.name):
        raise Invalid("SINK-004", f"{command.name[:100]!r} is no name of a sink", name=command.name)
    wrong = next((each for each in command.events if not _PATTERN.match(each)), None)
    if wrong is not None or len(command.events) > _MOST_PATTERNS:
        what = f"{wrong[:100]!r} is no kind of event" if wrong is not None else f"{len(command.events)} kinds"
        raise Invalid("SINK-004", what, name=command.name)
    kind = find_kind(command.kind)
    check_options(kind, command.kind, command.options)
    kind.check(command.url, secret=command.secret is not None, options=command.options)
    if command.secret is not None:
        find_secret(turn, command.secret)
    said: dict[str, Any] = {
        "kind": command.kind,
        "url": command.url,
        "secret": command.secret,
        "events": tuple(dict.fromkeys(command.events)) or kind.events,
        "options": command.options,
    }
    before = store.find_sink(turn.connection, turn.project, command.name)
    now = turn.now()
    if before is None:
        if len(store.list_sinks(turn.connection, turn.project)) >= MOST_SINKS:
            raise Conflict("SINK-008", f"project {turn.project!r} has {MOST_SINKS} sinks", name=command.name)
        sink = Sink(turn.new_id(), turn.project, command.name, **said, changed_at=now, created_at=now)
        sink.position, sink.created_by = store.last_event(turn.connection), str(turn.actor)
        store.add_sink(turn.connection, sink)
    else:
        store.change_sink(turn.connection, before, **said, tries=0, refusals=0, due_at=0.0, changed_at=now)
    turn.audit("sinks.write", command.name, before=before and _describe(before), after=said)
    turn.notify("sinks")
    return _complete(turn, _find(turn, command.name))


@handles(messages.ListSinks, action="sinks.read", reads=True)
def list_sinks(turn: Turn, command: messages.ListSinks) -> list[Sink]:
    """Answer with the sinks of the project."""
    del command
    return [_complete(turn, each) for each in store.list_sinks(turn.connection, turn.project)]


@handles(messages.GetSink, action="sinks.read", reads=True)
def get_sink(turn: Turn, command: messages.GetSink) -> Sink:
    """Answer with one sink, with what it has set aside."""
    sink = _complete(turn, _find(turn, command.name))
    sink.held_back = store.list_set_aside(turn.connection, sink)
    return sink


@handles(messages.RemoveSink, action="sinks.write", rehearsed=True)
def remove_sink(turn: Turn, command: messages.RemoveSink) -> Sink:
    """Send no more."""
    sink = _complete(turn, _find(turn, command.name))
    store.remove_sink(turn.connection, sink)
    turn.audit("sinks.remove", command.name, before=_describe(sink))
    return sink


@handles(messages.TestSink, action="sinks.test")
def test_sink(turn: Turn, command: messages.TestSink) -> Answered | Later:
    """Have one event sent, beside those that wait, and answer with what the receiver answered.

    Raises
    ------
    NotFound
        SINK-001, SECRET-001.
    Unavailable
        SINK-007 when nobody could send it in time.
    """
    sink = _find(turn, command.name)
    asked_at, answer = store.read_test(turn.connection, sink)
    now = turn.now()
    if asked_at is not None and answer is not None and now - asked_at < TEST_S + _FRESH_S:
        store.write_test(turn.connection, sink, None)
        return answer
    if turn.expired:
        store.write_test(turn.connection, sink, None)
        raise Unavailable("SINK-007", f"nobody could send by {sink.name} within {TEST_S:.0f} s", name=sink.name)
    if asked_at is None or answer is not None or now - asked_at >= TEST_S:
        if sink.secret is not None:
            find_secret(turn, sink.secret)
        store.write_test(turn.connection, sink, now)
        turn.audit("sinks.test", sink.name)
        turn.notify("sinks")
    return Later((f"sink:{sink.id}",), TEST_S)


@handles(messages.ResendEvents, action="sinks.write")
def resend_events(turn: Turn, command: messages.ResendEvents) -> Sink:
    """Send once more what was set aside, before anything newer.

    Raises
    ------
    NotFound
        SINK-001; SINK-009 when there is no such event set aside.
    """
    sink = _find(turn, command.name)
    wanted = set(command.events)
    count = store.ask_again(turn.connection, sink, wanted, turn.now())
    if count == 0 or count < len(wanted):
        what = f"{len(wanted) - count} of {len(wanted)} events are not set aside" if wanted else "nothing is set aside"
        raise NotFound("SINK-009", f"sink {sink.name}: {what}", name=sink.name)
    # What the courier has of this sink ends with the event that is under way.
    store.change_sink(turn.connection, sink, tries=0, due_at=0.0, changed_at=turn.now())
    turn.audit("sinks.resend", sink.name, after={"events": sorted(wanted) or count})
    turn.notify("sinks")
    return get_sink(turn, messages.GetSink(name=sink.name))


def list_lags(turn: Turn) -> list[Lag]:
    """Return how far the sinks of the project are."""
    found = [_complete(turn, each) for each in store.list_sinks(turn.connection, turn.project)]
    return [Lag(each.name, each.kind, each.pending, each.waits_since, each.tries, each.set_aside) for each in found]


def _find(turn: Turn, name: str) -> Sink:
    sink = store.find_sink(turn.connection, turn.project, name)
    if sink is None:
        names = [each.name for each in store.list_sinks(turn.connection, turn.project)]
        near = turn.suggest("sinks.read", name, names)
        raise NotFound("SINK-001", f"project {turn.project!r} has no sink {name!r}", fix=near, name=name)
    return sink


def _complete(turn: Turn, sink: Sink) -> Sink:
    """Add what waits."""
    sink.pending, sink.waits_since = store.count_pending(turn.connection, sink)
    return sink


def _describe(sink: Sink) -> dict[str, object]:
    return {name: getattr(sink, name) for name in ("kind", "url", "secret", "events", "options")}
