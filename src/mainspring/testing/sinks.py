"""The contract suite of sinks: what every adapter that tells a kind of receiver does.

A kind's tests inherit `SinkContract` and give it the fixtures ``kind``, ``receiver`` (a `Receiver`
on this machine), ``aim`` (a place -> a `Delivery` to it) and ``deaf`` (the place of a listener that
never says a word). Hosts of this machine are allowed with ``MAINSPRING_PRIVATE_HOSTS``.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pytest

from mainspring.domain.command import Command
from mainspring.domain.errors import Denied, Invalid, MainspringError
from mainspring.domain.records import Event
from mainspring.domain.sinks import Answered, Delivery
from mainspring.sinks.kind import Kind, check_options

_HEAVY = ("http.client", "ssl", "smtplib", "httpx", "requests", "asyncio", "sqlalchemy", "numpy")


class Receiver(Protocol):
    """A real receiver of the kind, on this machine."""

    place: str

    def told(self) -> Sequence[bytes]:
        """Return what it was told so far."""
        ...

    def fail(self) -> None:
        """Be out of order from now on."""
        ...


class SinkContract:
    """Inherit it, give the fixtures, and every test here runs against that kind."""

    def test_it_is_light(self, kind: Kind) -> None:
        """Importing and making it loads nothing heavy: the owner does, to check what an admin says."""
        made = type(kind)
        program = f"import sys; from {made.__module__} import {made.__name__}; {made.__name__}()\n"
        program += f"print(sorted(set({_HEAVY!r}) & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"

    def test_it_says_what_it_is_for(self, kind: Kind) -> None:
        """It names events of its own choice, and refuses settings that it does not have."""
        assert kind.events
        with pytest.raises(Invalid, match="SINK-003"):
            check_options(kind, "it", {"no-such-setting": "1"})

    def test_it_checks_without_reaching_out(
        self, kind: Kind, aim: Callable[[str], Delivery], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What can be sent to passes, what cannot is refused, and no name is resolved for it."""

        def fail(*_: Any, **__: Any) -> None:
            raise AssertionError("a name was resolved")

        monkeypatch.setattr("socket.getaddrinfo", fail)
        delivery = aim("receiver.example.org")
        kind.check(delivery.url, secret=bool(delivery.secret), options=delivery.options)
        with pytest.raises(MainspringError):
            kind.check("file:///etc/passwd", secret=bool(delivery.secret), options=delivery.options)

    def test_it_tells_each_event_once(self, kind: Kind, receiver: Receiver, aim: Callable[[str], Delivery]) -> None:
        """Every event is one message, which names what happened, and is accepted."""
        delivery = aim(receiver.place)
        for number in range(1, 4):
            answer = send(kind, delivery, number)
            assert answer.outcome == "accepted", answer
            assert len(receiver.told()) == number
            assert b"subject-of-" + str(number).encode() in receiver.told()[-1]

    def test_a_repetition_is_the_same_message(
        self, kind: Kind, receiver: Receiver, aim: Callable[[str], Delivery]
    ) -> None:
        """The same event told again at the same time is the same message."""
        delivery = aim(receiver.place)
        now = time.time()
        for _ in range(2):
            send(kind, delivery, 1, now)
        first, second = receiver.told()
        assert first == second

    def test_one_that_is_out_of_order_has_failed(
        self, kind: Kind, receiver: Receiver, aim: Callable[[str], Delivery]
    ) -> None:
        """The receiver's own trouble is never taken for the event's: it must be tried again."""
        receiver.fail()
        assert send(kind, aim(receiver.place), 1).outcome == "failed"

    def test_one_that_says_nothing_is_cut_off(self, kind: Kind, deaf: str, aim: Callable[[str], Delivery]) -> None:
        """Sending ends by itself."""
        answer = send(kind, aim(deaf), 1)
        assert answer.outcome == "failed"
        assert answer.text.startswith("FETCH-003")

    def test_it_goes_nowhere_that_is_not_allowed(
        self, kind: Kind, receiver: Receiver, aim: Callable[[str], Delivery], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An address inside is refused when it is sent to, whatever was checked before."""
        monkeypatch.delenv("MAINSPRING_PRIVATE_HOSTS")
        with pytest.raises(Denied, match="FETCH-001"):
            kind.send(aim(receiver.place), make_event(1), time.time(), refuse)
        assert list(receiver.told()) == []


def send(kind: Kind, delivery: Delivery, number: int, now: float | None = None) -> Answered:
    """Send an event as the courier does: an error counts as failed."""
    try:
        return kind.send(delivery, make_event(number), time.time() if now is None else now, refuse)
    except MainspringError as error:
        return Answered("failed", f"{error.code}: {error.what}")


def make_event(number: int) -> Event:
    """Return an event that every kind can tell: a version that no run wrote."""
    body = {"name": f"subject-of-{number}", "number": 1, "id": f"{number:032x}", "run_id": None}
    return Event(number, 1_800_000_000.0 + number, "data", f"subject-of-{number}", body)


def refuse(command: Command) -> Any:
    """Answer no question about the record: these events need none."""
    raise AssertionError(f"{type(command).__name__} was asked")
