"""Messages about sinks: where the events of a project are sent, and how far that is.

They travel as those of `mainspring.domain.messages` do, which knows them all.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mainspring.domain.command import Command, Count, Seconds
from mainspring.domain.records import Event

Outcome = Literal["accepted", "refused", "failed"]
"""``refused``: this event for good; ``failed``: the receiver as it is now."""


class SetAside(msgspec.Struct, frozen=True):
    """An event that a receiver refused for good: it stays in the record, the next ones go on.

    Attributes
    ----------
    event : int
        Its number.
    tries : int
        So often was it sent.
    error : str
        What the receiver answered last.
    time : float
        When it was set aside.
    again_at : float or None
        When somebody asked that it be sent once more, until that is done.
    """

    event: int
    kind: str
    subject: str
    tries: int
    error: str
    time: float
    again_at: float | None = None


class Sink(msgspec.Struct):
    """Where events are sent, and how far that is.

    Attributes
    ----------
    url : str
        The receiver's address; empty where the secret is the address.
    secret : str or None
        Name of a secret of the project.
    events : tuple of str
        Kinds of events, ``alarm.*`` for all below ``alarm``, ``*`` for all.
    options : dict of str to str
        What the kind wants besides.
    position : int
        Number of the last event that is done with.
    tries : int
        Failures in a row; 0: the last one was accepted.
    refusals : int
        How often the next event was refused for good.
    due_at : float
        Not before this time is it tried again.
    delivered, set_aside : int
        How many events since it was made.
    error : str
        What went wrong last; it stays when things go well again, with `failed_at`.
    pending : int
        Events that wait, told up to 1,000.
    waits_since : float or None
        Time of the oldest of them.
    held_back : list of SetAside
        The newest twenty that were set aside; in the answer of `GetSink`.
    """

    id: str
    project: str
    name: str
    kind: str
    url: str = ""
    secret: str | None = None
    events: tuple[str, ...] = ("*",)
    options: dict[str, str] = {}
    position: int = 0
    tries: int = 0
    refusals: int = 0
    due_at: float = 0.0
    delivered: int = 0
    set_aside: int = 0
    error: str = ""
    failed_at: float | None = None
    delivered_at: float | None = None
    created_by: str = ""
    created_at: float = 0.0
    changed_at: float = 0.0
    pending: int = 0
    waits_since: float | None = None
    held_back: list[SetAside] = []


class Lag(msgspec.Struct, frozen=True):
    """A sink in the status of a home.

    Attributes
    ----------
    pending : int
        Events that wait, told up to 1,000.
    waits_since : float or None
        Time of the oldest of them.
    tries : int
        Failures in a row.
    set_aside : int
        Events that were refused for good.
    """

    name: str
    kind: str
    pending: int
    waits_since: float | None
    tries: int
    set_aside: int


class Answered(msgspec.Struct, frozen=True):
    """What a receiver answered.

    Attributes
    ----------
    outcome : str
        accepted, refused or failed.
    text : str
        For people, without secrets.
    retry_after_s : float or None
        When the receiver asked for a pause.
    """

    outcome: Outcome
    text: str
    retry_after_s: Seconds | None = None


class Delivery(msgspec.Struct, frozen=True):
    """What the courier sends: events of one sink, one after the other.

    Attributes
    ----------
    sink : str
        Id.
    after : int
        Number of the event before the first.
    changed_at : float
        When the sink was made or changed.
    secret : str
        The value, or empty.
    test : bool
        The event was made up for `TestSink`.
    again : bool
        The events were set aside, and are sent once more.
    """

    sink: str
    project: str
    name: str
    kind: str
    url: str
    secret: str
    options: dict[str, str]
    events: list[Event]
    after: int = 0
    changed_at: float = 0.0
    test: bool = False
    again: bool = False

    def __repr__(self) -> str:
        return f"Delivery({self.name!r}, {len(self.events)} events)"


class AddSink(Command):
    """Send events of the project somewhere from now on, or change where and what; it goes on where it was.

    Attributes
    ----------
    url : str
        The receiver's address.
    secret : str or None
        Name of a secret of the project.
    events : list of str
        Empty: what the kind is for.
    options : dict of str to str
        ``timeout_s`` and ``tries`` for every kind; the others are the kind's own.
    """

    name: str
    kind: str
    url: str = ""
    secret: str | None = None
    events: list[str] = []
    options: dict[str, str] = {}


class ListSinks(Command):
    """The sinks of the project, by name."""


class GetSink(Command):
    """One sink, with the events that were set aside."""

    name: str


class RemoveSink(Command):
    """Send no more; what was not sent yet is not sent."""

    name: str


class TestSink(Command):
    """Send one event that says that it is a test, now, and answer with what the receiver answered."""

    name: str


class ResendEvents(Command):
    """Send events that were set aside once more; what is refused again stays set aside.

    Attributes
    ----------
    events : list of int
        Their numbers, as `GetSink` tells them; empty: all.
    """

    name: str
    events: list[Count] = []


class TakeDeliveries(Command):
    """The courier asks what to send; waits at most `wait_s` for something."""

    token: str
    wait_s: Seconds = 1.0


class ReportDelivery(Command):
    """The courier tells what became of one event; `after` is the number of the one before it."""

    token: str
    sink: str
    event: Count
    after: Count
    answer: Answered
    test: bool = False
    again: bool = False


class Noted(msgspec.Struct, frozen=True):
    """Whether the courier goes on with the next event."""

    go_on: bool


ANSWERS: dict[type[Command], Any] = {
    AddSink: Sink,
    ListSinks: list[Sink],
    GetSink: Sink,
    RemoveSink: Sink,
    TestSink: Answered,
    ResendEvents: Sink,
    TakeDeliveries: list[Delivery],
    ReportDelivery: Noted,
}
