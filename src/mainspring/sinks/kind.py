"""The port to receivers of events; a kind of sink is found by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from mainspring.domain.command import Command
from mainspring.domain.errors import Invalid
from mainspring.domain.records import Event
from mainspring.domain.sinks import Answered, Delivery

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

GROUP = "mainspring.sinks"
TIMEOUT_S = 15.0
TRIES = 5
GENERAL = ("timeout_s", "tries")
"""Options that every kind has."""

_MOST_TIMEOUT_S = 60.0
_MOST_TRIES = 20

Ask = Callable[[Command], Any]
"""Reads the record, in the project of the sink."""


class Kind(Protocol):
    """Tells one kind of receiver what happened; made without arguments, and light to import.

    Attributes
    ----------
    events : tuple of str
        Patterns of the events that it is for, when a sink names none.
    options : tuple of str
        Names of its own options.
    """

    events: tuple[str, ...]
    options: tuple[str, ...]

    def check(self, url: str, *, secret: bool, options: Mapping[str, str]) -> None:
        """Refuse what could never be sent to.

        MUST raise `Invalid` or `Denied` for an address, an option or a lack of a secret that it
        cannot work with. MUST reach for nothing: it is called in the owner.
        """
        ...

    def send(self, delivery: Delivery, event: Event, now: float, ask: Ask) -> Answered:
        """Tell the receiver of one event.

        MUST connect by `mainspring.security.fetch` alone, and take no longer than
        `read_timeout_s` says. MUST tell the receiver `name_event`, the same at every repetition,
        where its protocol has a place for it. MUST answer ``refused`` only when the receiver will
        never take this event, whatever happens to the receiver. May raise: a `MainspringError` or
        an `OSError` counts as ``failed``, anything else as ``refused``.
        """
        ...


def list_kinds() -> list[str]:
    """Return the kinds that are installed here."""
    return sorted({each.name for each in _list_points()})


def find_kind(name: str) -> Kind:
    """Return a kind of sink.

    Raises
    ------
    Invalid
        SINK-002 when there is none of that name, or its library is missing.
    """
    for found in _list_points():
        if found.name != name:
            continue
        try:
            kind: Kind = found.load()()
        except ImportError as missing:
            raise Invalid("SINK-002", f"sinks of kind {name!r} need {missing.name}", kind=name) from None
        return kind
    raise Invalid("SINK-002", f"no sink is of kind {name!r}; there are {', '.join(list_kinds())}", kind=name)


def _list_points() -> EntryPoints:
    from importlib.metadata import entry_points  # a tenth of what an owner imports

    return entry_points(group=GROUP)


def check_options(kind: Kind, name: str, options: Mapping[str, str]) -> None:
    """Refuse options that a kind does not have, and general ones out of their range.

    Raises
    ------
    Invalid
        SINK-003.
    """
    known = sorted((*GENERAL, *kind.options))
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise Invalid("SINK-003", f"{unknown[0]!r} is no setting of {name}; there are {', '.join(known)}")
    if not 1.0 <= _read_number(options, "timeout_s", TIMEOUT_S) <= _MOST_TIMEOUT_S:
        raise Invalid("SINK-003", f"timeout_s={options['timeout_s']!r} is not from 1 to {_MOST_TIMEOUT_S:.0f}")
    tries = _read_number(options, "tries", TRIES)
    if not (1 <= tries <= _MOST_TRIES and tries == int(tries)):
        raise Invalid("SINK-003", f"tries={options['tries']!r} is no number from 1 to {_MOST_TRIES}")


def read_timeout_s(options: Mapping[str, str]) -> float:
    """Return the seconds that telling one event may take."""
    return _read_number(options, "timeout_s", TIMEOUT_S)


def read_tries(options: Mapping[str, str]) -> int:
    """Return after how many refusals an event is set aside."""
    return int(_read_number(options, "tries", TRIES))


def name_event(delivery: Delivery, event: Event) -> str:
    """Return what an event is called towards a receiver: by it a repetition is known."""
    return f"{delivery.sink}-test-{event.time:.3f}" if delivery.test else f"{delivery.sink}-{event.seq}"


def _read_number(options: Mapping[str, str], name: str, default: float) -> float:
    try:
        return float(options.get(name, default))
    except ValueError:
        raise Invalid("SINK-003", f"{name}={options[name]!r} is no number") from None
