"""Deliveries: what is to be sent is handed to the courier, a process apart, which tells what became of it.

The record knows how far each sink is; the owner knows which sinks the courier has been handed. When
either process dies, the next one begins behind the last event that the record knows to be done with.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from mainspring.control.secrets import open_secret
from mainspring.control.sinks import TEST_S
from mainspring.control.turn import Turn
from mainspring.control.usecases import Later, ends, handles, holds, loop
from mainspring.domain import sinks as messages
from mainspring.domain.errors import Denied, MainspringError
from mainspring.domain.home import Home
from mainspring.domain.records import Event
from mainspring.domain.sinks import Answered, Delivery, Noted, Sink
from mainspring.sinks.decide import MOST_S, Progress, decide
from mainspring.sinks.kind import read_tries
from mainspring.store import sinks as store

MOST_EVENTS = 50
"""In one delivery; the secret that goes with it may change meanwhile."""

STUCK_S = 180.0
"""Seconds without a word of a delivery, after which the courier is taken for stuck."""

_HOLDING_TRIES = 8
"""A receiver that failed so often in a row, some minutes, does not keep the owner from ending."""

_FAR = 1000
"""So many events behind, a sink that waits for none of them is moved on."""

_log = logging.getLogger(__name__)


class _Lent(NamedTuple):
    """A delivery that the courier has: its last event, what it was made of, and when it was heard of."""

    last: int
    changed_at: float
    heard_at: float


class Courier:
    """The owner's side of the process that sends.

    Parameters
    ----------
    home : Home
        Whose sinks it serves.

    Attributes
    ----------
    outbox : list of Delivery
        What it is told when it asks next.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._token = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._lent: dict[str, _Lent] = {}
        self._quiet: dict[str, tuple[float, int]] = {}
        self.outbox: list[Delivery] = []

    def is_quiet(self, sink: Sink, last: int) -> bool:
        """Tell whether a sink is known to wait for nothing up to an event."""
        return self._quiet.get(sink.id) == (sink.changed_at, last)

    def note_quiet(self, sink: Sink, last: int) -> None:
        """Remember that a sink waits for nothing up to an event, so that it need not be looked for again."""
        self._quiet[sink.id] = (sink.changed_at, last)

    def is_shown(self, token: str) -> bool:
        """Tell whether a token is that of the process that runs now."""
        return bool(self._token) and hmac.compare_digest(self._token.encode(), token.encode())

    def has(self, delivery: str) -> bool:
        """Tell whether the process was handed a delivery and has not come to its end."""
        return delivery in self._lent

    def hand(self, deliveries: list[Delivery]) -> None:
        """Have deliveries sent; the process starts when it is not there."""
        for each in deliveries:
            self._lent[name_delivery(each.sink, test=each.test)] = _Lent(
                each.events[-1].seq, each.changed_at, time.monotonic()
            )
        self.outbox += deliveries
        try:
            if self._process is None:
                self._start()
        except OSError as fault:
            _log.error("the courier cannot be started: %s", fault.strerror)
            self.close()

    def note(self, delivery: str, event: int, changed_at: float, *, go_on: bool) -> bool:
        """Take notice of a report; tell whether the delivery goes on with its next event."""
        lent = self._lent.pop(delivery, None)
        if lent is None or not go_on or event >= lent.last or lent.changed_at != changed_at:
            return False
        self._lent[delivery] = _Lent(lent.last, lent.changed_at, time.monotonic())
        return True

    def look(self) -> list[str]:
        """Forget a process that has ended or is stuck; return the deliveries that it had begun."""
        process = self._process
        if process is None:
            return []
        oldest = time.monotonic() - STUCK_S
        stuck = [delivery for delivery, lent in self._lent.items() if lent.heard_at < oldest]
        if process.poll() is not None:
            waiting = {name_delivery(each.sink, test=each.test) for each in self.outbox}
            stuck = [delivery for delivery in self._lent if delivery not in waiting]
        elif not stuck:
            return []
        self.close()
        return stuck

    def close(self) -> None:
        """End the process; what it was handed is to be sent again."""
        process, self._process = self._process, None
        self._token, self._lent, self.outbox = "", {}, []
        if process is not None:
            process.kill()
            process.wait()
            if process.stdin is not None:
                with contextlib.suppress(OSError):  # a line that it never read
                    process.stdin.close()

    def _start(self) -> None:
        self._token = secrets.token_hex(32)
        command = [sys.executable, "-P", "-m", "mainspring.worker.courier", "--home", str(self._home.root)]
        with (self._home.logs / "courier.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        assert self._process.stdin is not None
        # It stays open as long as this process lives, which the courier does not outlive.
        self._process.stdin.write(f"{self._token}\n".encode())
        self._process.stdin.flush()


_couriers: dict[Path, Courier] = {}


def open_courier(home: Home) -> Courier:
    """Return the courier of a home; it has a process when there is something to send."""
    return _couriers.setdefault(home.root, Courier(home))


@ends
def close_courier(home: Home) -> None:
    """End the process that sends."""
    courier = _couriers.pop(home.root, None)
    if courier is not None:
        courier.close()


@loop(every_s=0.5, topics=("sinks",), durable=False, once=True)
def hand_out(turn: Turn) -> None:
    """Hand the next events of each sink to the courier, where it has none of that sink and the time has come."""
    courier = open_courier(turn.home)
    stuck = courier.look()
    deliveries: list[Delivery] = []
    sinks = store.list_sinks(turn.connection)
    last = store.last_event(turn.connection) if sinks else 0
    tests = store.list_tests(turn.connection, turn.now() - TEST_S) if sinks else {}
    for sink in sinks:
        try:
            with turn.within(sink.project):
                if sink.id in tests and not courier.has(name_delivery(sink.id, test=True)):
                    deliveries += _prepare_test(turn, sink, tests[sink.id])
                if _is_due(turn, sink) and not (courier.has(sink.id) or courier.is_quiet(sink, last)):
                    deliveries += _prepare(turn, courier, sink, last, stuck=sink.id in stuck)
        except Exception:  # noqa: BLE001 - one sink that cannot be prepared must not keep the others from it
            _log.exception("the deliveries of sink %s cannot be prepared", sink.id)
    if deliveries:
        turn.after_commit(lambda: courier.hand(deliveries))
        turn.notify("deliveries")


@handles(messages.TakeDeliveries, action="sinks.deliver", reads=True, kept=False)
def take_deliveries(turn: Turn, command: messages.TakeDeliveries) -> list[Delivery] | Later:
    """Answer the courier with what is to be sent.

    Raises
    ------
    Denied
        SINK-005 for anybody else.
    """
    courier = _identify(turn, command.token)
    if not courier.outbox and command.wait_s > 0 and not turn.expired:
        return Later(("deliveries",), command.wait_s)
    deliveries = list(courier.outbox)

    def follow() -> None:
        del courier.outbox[: len(deliveries)]

    turn.after_commit(follow)
    return deliveries


@handles(messages.ReportDelivery, action="sinks.deliver", durable=False)
def report_delivery(turn: Turn, command: messages.ReportDelivery) -> Noted:
    """Note what became of an event; the courier goes on only when the record says so.

    Raises
    ------
    Denied
        SINK-005 for anybody but the courier.
    """
    courier = _identify(turn, command.token)
    delivery = name_delivery(command.sink, test=command.test)
    sink = store.get_sink(turn.connection, command.sink)
    go_on = False
    if sink is not None and command.test:
        asked_at, _ = store.read_test(turn.connection, sink)
        if asked_at is not None:
            store.write_test(turn.connection, sink, asked_at, command.answer)
            turn.notify(f"sink:{sink.id}")
    elif sink is not None and sink.position == command.after:
        note = _note_again if command.again else _note
        go_on = note(turn, sink, command.event, command.answer)
    if not courier.note(delivery, command.event, sink.changed_at if sink else 0.0, go_on=go_on):
        turn.notify("sinks")
        go_on = False
    return Noted(go_on)


@holds
def hold_for_sinks(turn: Turn) -> str | None:
    """Keep the owner while events can be sent, or their receiver was there some minutes ago."""
    courier = open_courier(turn.home)
    for sink in store.list_sinks(turn.connection):
        if sink.tries >= _HOLDING_TRIES or courier.is_quiet(sink, store.last_event(turn.connection)):
            continue
        if store.has_pending(turn.connection, sink):
            return f"sink {sink.name} has events to send"
    return None


def name_delivery(sink: str, *, test: bool) -> str:
    """Return what a delivery is known by: a sink has one of its events, and one of a test."""
    return f"test:{sink}" if test else sink


def _identify(turn: Turn, token: str) -> Courier:
    courier = open_courier(turn.home)
    if not courier.is_shown(token):
        raise Denied("SINK-005", f"{turn.actor} asks for deliveries")
    return courier


def _is_due(turn: Turn, sink: Sink) -> bool:
    """Tell whether a sink may be tried; a pause longer than any is one of a clock that went back."""
    return not 0.0 < sink.due_at - turn.now() <= MOST_S


def _prepare_test(turn: Turn, sink: Sink, asked_at: float) -> list[Delivery]:
    """Return the event of a test."""
    event = Event(0, turn.now(), "test", sink.name, {"summary": "a test of this sink"}, project=sink.project)
    try:
        with turn.part():
            return [_make(turn, sink, [event], test=True)]
    except MainspringError as error:
        store.write_test(turn.connection, sink, asked_at, Answered("failed", f"{error.code}: {error.what}"))
        turn.notify(f"sink:{sink.id}")
        return []


def _prepare(turn: Turn, courier: Courier, sink: Sink, last: int, *, stuck: bool) -> list[Delivery]:
    """Return the next events of a sink."""
    again = store.list_again(turn.connection, sink, MOST_EVENTS)
    events = again or store.list_pending(turn.connection, sink, MOST_EVENTS)
    if not events:
        courier.note_quiet(sink, last)
        if last - sink.position > _FAR:
            store.change_sink(turn.connection, sink, position=last)
        return []
    what = "the courier ended, or hung, while it sent this event"
    if not stuck:
        try:
            with turn.part():
                return [_make(turn, sink, events, again=bool(again))]
        except MainspringError as error:  # its secret is gone: the events wait until it is back
            what = f"{error.code}: {error.what}"
    with turn.part():
        note = _note_again if again else _note
        note(turn, sink, events[0].seq, Answered("failed", what))
    return []


def _make(turn: Turn, sink: Sink, events: list[Event], *, test: bool = False, again: bool = False) -> Delivery:
    secret = "" if sink.secret is None else open_secret(turn, sink.secret)
    return Delivery(
        sink.id,
        sink.project,
        sink.name,
        sink.kind,
        sink.url,
        secret,
        sink.options,
        events,
        after=sink.position,
        changed_at=sink.changed_at,
        test=test,
        again=again,
    )


def _note_again(turn: Turn, sink: Sink, event: int, answer: Answered) -> bool:
    """Write down what became of an event that was set aside and sent once more; tell whether the next may go."""
    if not store.is_again(turn.connection, sink, event):
        return False
    if answer.outcome == "failed":
        return _note(turn, sink, event, answer)
    now = turn.now()
    values: dict[str, Any] = {"tries": 0, "due_at": 0.0}
    if answer.outcome == "accepted":
        store.accept_again(turn.connection, sink, event)
        values |= {"delivered": sink.delivered + 1, "delivered_at": now, "set_aside": sink.set_aside - 1}
    else:
        store.refuse_again(turn.connection, sink, event, answer.text, now)
        values |= {"error": answer.text, "failed_at": now}
    store.change_sink(turn.connection, sink, **values)
    return True


def _note(turn: Turn, sink: Sink, event: int, answer: Answered) -> bool:
    """Write down how far a sink is after an answer; tell whether it goes on."""
    now = turn.now()
    before = Progress(sink.position, sink.tries, sink.refusals, sink.due_at)
    draw = turn.randomness.bits(32) / 2**32
    decision = decide(before, event, answer, read_tries(sink.options), now, draw)
    values = {name: getattr(decision.progress, name) for name in Progress.__struct_fields__}
    if answer.outcome == "accepted":
        values |= {"delivered": sink.delivered + 1, "delivered_at": now}
    else:
        values |= {"error": answer.text, "failed_at": now}
    if decision.set_aside:
        values["set_aside"] = sink.set_aside + 1
        store.set_aside(turn.connection, sink, event, sink.refusals + 1, answer.text, now)
        _log.warning("event %d is set aside: the receiver of sink %s refuses it", event, sink.name)
    store.change_sink(turn.connection, sink, **values)
    return decision.goes_on
