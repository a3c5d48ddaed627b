"""Group commit: everything that waits becomes one transaction, acknowledged after its sync."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy.exc import DBAPIError

from mainspring.control.turn import Turn
from mainspring.control.usecases import HANDLERS, PASSING, Later
from mainspring.domain.crashpoints import crash_point
from mainspring.domain.errors import Failed, Invalid, MainspringError
from mainspring.domain.home import Home
from mainspring.domain.messages import ANSWERS, Command
from mainspring.domain.ports import Blobs, Clock, Randomness
from mainspring.store.engine import driver, explain_fault, set_durable
from mainspring.store.requests import find_answer, keep_answer

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_log = logging.getLogger(__name__)
_encoder = msgspec.msgpack.Encoder()


class Ask(msgspec.Struct):
    """A command on its way through a turn.

    Attributes
    ----------
    command : Command
        What is asked.
    actor : str
        Who asks.
    key : str
        Idempotency key; empty: asking twice does it twice.
    expired : bool
        It has waited long enough.
    """

    command: Command
    actor: str
    key: str = ""
    expired: bool = False


class Answer(msgspec.Struct, frozen=True):
    """An encoded answer of an `Ask`, as the wire carries it."""

    body: bytes


Outcome = Answer | Later | MainspringError


class GroupCommit:
    """Runs use cases, many in one transaction.

    Parameters
    ----------
    engine : Engine
        Of the record; this object is the only one that writes to it.
    home, blobs, clock, randomness
        What the use cases work with.
    """

    def __init__(self, engine: Engine, home: Home, blobs: Blobs, clock: Clock, randomness: Randomness) -> None:
        self._connection: Connection = engine.connect()
        self._durable = True
        self._home = home
        self._blobs = blobs
        self._clock = clock
        self._randomness = randomness

    def close(self) -> None:
        """Close the connection to the record."""
        self._connection.close()

    def ask(self, command: Command, *, actor: str = "owner", key: str = "") -> Any:
        """Run one use case in a transaction of its own, without the wire.

        Returns
        -------
        object
            The answer; a `Later` when the use case would wait.

        Raises
        ------
        MainspringError
            The refusal.
        """
        (outcome,), _ = self.run([Ask(command, actor, key)])
        if isinstance(outcome, MainspringError):
            raise outcome
        if isinstance(outcome, Later):
            return outcome
        return msgspec.msgpack.decode(outcome.body, type=ANSWERS[type(command)])

    def run(self, asks: Sequence[Ask]) -> tuple[list[Outcome], set[str]]:
        """Run a turn.

        Parameters
        ----------
        asks : sequence of Ask
            In order of arrival.

        Returns
        -------
        tuple of list of Outcome and set of str
            An outcome for each ask, on disk unless all are `PASSING`; the topics that were
            notified.

        Notes
        -----
        Guarantees: an answer that comes back is durable; an ask that was refused left nothing;
        when the disk takes no more, every ask of the turn is refused and none left anything.
        """
        turns: list[Turn] = []
        outcomes: list[Outcome] = []

        def work() -> None:
            for ask in asks:
                turns.append(self._turn(ask.actor, expired=ask.expired))
                outcomes.append(self._answer(turns[-1], ask))

        problem: MainspringError | None
        try:
            problem = self._commit(work, durable=any(type(ask.command) not in PASSING for ask in asks))
        except Exception as fault:  # noqa: BLE001 - every client must hear something
            problem = _mistake(asks[0].command, fault)
        if problem is not None:
            return [problem] * len(asks), set()
        return outcomes, _follow(turns)

    def call(self, function: Callable[[Turn], object], actor: str = "owner", *, durable: bool = True) -> set[str]:
        """Run a function in a turn of its own; return the topics that it notified.

        Parameters
        ----------
        function : callable
            Called with the turn.
        actor : str, default "owner"
            In whose name.
        durable : bool, default True
            False: what it writes is worth nothing once the machine is down.

        Raises
        ------
        Exception
            What the function raised; nothing that it wrote stays.
        """
        turn = self._turn(actor)

        def work() -> None:
            with turn.part():
                function(turn)

        problem = self._commit(work, durable=durable)
        if problem is not None:
            raise problem
        return _follow([turn])

    def _turn(self, actor: str, *, expired: bool = False) -> Turn:
        return Turn(
            self._connection, self._home, self._blobs, self._clock, self._randomness, actor=actor, expired=expired
        )

    def _commit(self, work: Callable[[], None], *, durable: bool) -> MainspringError | None:
        raw = driver(self._connection)
        before = raw.total_changes
        if durable is not self._durable:
            set_durable(raw, durable)
            self._durable = durable
        transaction = self._connection.begin()
        try:
            work()
            writes = raw.total_changes != before
            if writes:
                crash_point("owner.turn.before_commit")
            transaction.commit()
        except (DBAPIError, sqlite3.Error) as fault:
            _undo(transaction, raw)
            error = explain_fault(fault, self._home.metadata)
            if error is None:
                raise
            _log.error("a turn was undone: %s", error.what)
            return error
        except BaseException:
            _undo(transaction, raw)
            raise
        if writes:
            crash_point("owner.turn.after_commit")
        return None

    def _answer(self, turn: Turn, ask: Ask) -> Outcome:
        try:
            with turn.part():
                return self._handle(turn, ask)
        except _Repeated as repeated:
            outcome: Outcome = Answer(repeated.body)
        except MainspringError as error:
            kept = self._find_kept(ask)
            outcome = error if kept is None else Answer(kept)
        except (DBAPIError, sqlite3.Error) as fault:
            if explain_fault(fault, self._home.metadata) is not None:
                raise  # the record takes no more: the whole turn is refused
            outcome = _mistake(ask.command, fault)
        except Exception as fault:  # noqa: BLE001 - one request's mistake must not end its neighbours'
            outcome = _mistake(ask.command, fault)
        return outcome

    def _handle(self, turn: Turn, ask: Ask) -> Outcome:
        handler = HANDLERS.get(type(ask.command))
        if handler is None:
            raise Invalid("HOME-004", f"this owner does not know {type(ask.command).__name__}")
        answer = handler(turn, ask.command)
        if isinstance(answer, Later):
            kept = self._find_kept(ask)
            if kept is not None:
                raise _Repeated(kept)
            return answer
        body = _encoder.encode(answer)
        # Told by the insert, not looked up before it: a repetition is rare, and undone.
        if ask.key and not keep_answer(self._connection, ask.key, body, turn.now()):
            raise _Repeated(self._find_kept(ask) or body)
        return Answer(body)

    def _find_kept(self, ask: Ask) -> bytes | None:
        return find_answer(self._connection, ask.key) if ask.key else None


class _Repeated(Exception):
    """The request of this key took effect before; what was done again is undone."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body


def _mistake(command: Command, fault: Exception) -> MainspringError:
    _log.exception("%s failed", type(command).__name__)
    return Failed("HOME-015", f"{type(command).__name__}: {type(fault).__name__}: {fault}")


def _undo(transaction: Any, raw: sqlite3.Connection) -> None:
    if raw.in_transaction:
        transaction.rollback()
    else:  # SQLite has already undone it
        transaction.close()


def _follow(turns: list[Turn]) -> set[str]:
    for turn in turns:
        for call in turn.commits:
            try:
                call()
            except Exception:  # noqa: BLE001 - the turn is on disk already
                _log.exception("what follows a commit failed")
    return {topic for turn in turns for topic in turn.topics}
