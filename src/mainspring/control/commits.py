"""Group commit: everything that waits becomes one transaction, acknowledged after its sync."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.control.identity import admit, name_key
from mainspring.control.turn import NODE_LEASE, NODE_LEASE_S, Turn
from mainspring.control.usecases import ADOPTIONS, HANDLERS, PASSING, READING, UNKEPT, Later, Loop
from mainspring.domain.answers import answer_of
from mainspring.domain.crashpoints import crash_point
from mainspring.domain.errors import Conflict, Denied, Failed, MainspringError, Unavailable
from mainspring.domain.home import Home
from mainspring.domain.lists import check_limit
from mainspring.domain.messages import Command
from mainspring.domain.ports import Blobs, Clock, Randomness
from mainspring.domain.principals import DEFAULT_PROJECT, OWNER, Principal
from mainspring.store.dialects import Listener
from mainspring.store.engine import dialect_of, find_fault
from mainspring.store.leases import has_others, take_lease
from mainspring.store.requests import find_answer, keep_answer
from mainspring.store.tables import LOCAL

if TYPE_CHECKING:
    from mainspring.store.words import Connection, Engine, RootTransaction

_LEASE_S = 10.0
"""Seconds after which what an owner does alone goes to another one when nothing is heard of it."""

_REST_S = 0.25
"""Seconds between two looks for a database that went away."""

_log = logging.getLogger(__name__)
_encoder = msgspec.msgpack.Encoder()


class Ask(msgspec.Struct):
    """A command on its way through a turn.

    Attributes
    ----------
    command : Command
        What is asked.
    actor : Principal
        Who asks.
    key : str
        Idempotency key; empty: asking twice does it twice.
    expired : bool
        It has waited long enough.
    project : str
        In which project.
    token : str
        When it is not empty: its principal asks, not `actor`.
    """

    command: Command
    actor: Principal
    key: str = ""
    expired: bool = False
    project: str = DEFAULT_PROJECT
    token: str = ""


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
    node : str, default LOCAL
        The home's name among those that share the record.

    Attributes
    ----------
    outdated : bool
        A newer release has migrated the record; this one can do no more.
    alone : bool
        No other owner is known to hear what this one publishes.
    joining : sequence of Loop
        What a turn calls itself before it commits, when it has notified a topic of theirs.
    """

    def __init__(
        self, engine: Engine, home: Home, blobs: Blobs, clock: Clock, randomness: Randomness, node: str = LOCAL
    ) -> None:
        self._engine = engine
        self._dialect = dialect_of(engine)
        self._kept: Connection | None = None
        self._problem: MainspringError | None = None
        self._asked_at = 0.0
        self._said = ""
        self.outdated = False
        self.alone = False
        self.joining: Sequence[Loop] = ()
        self._node = node
        self._holder = f"{node}:{os.getpid()}:{secrets.token_hex(4)}"
        self._seen_at = -_LEASE_S
        self._home = home
        self._blobs = blobs
        self._clock = clock
        self._randomness = randomness

    def listen(self) -> Listener | None:
        """Return what hears of other owners' commits; None when there can be no other owner.

        Raises
        ------
        Unavailable
            HOME-030 when the database cannot be reached.
        """
        return self._dialect.listen(self._home)

    def close(self) -> None:
        """Close the connection to the record."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def ask(
        self,
        command: Command,
        *,
        actor: Principal = OWNER,
        key: str = "",
        project: str = DEFAULT_PROJECT,
        token: str = "",
    ) -> Any:
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
        (outcome,), _ = self.run([Ask(command, actor, key, project=project, token=token)])
        if isinstance(outcome, MainspringError):
            raise outcome
        if isinstance(outcome, Later):
            return outcome
        return msgspec.msgpack.decode(outcome.body, type=answer_of(type(command)))

    def run(self, asks: Sequence[Ask]) -> tuple[list[Outcome], set[str]]:
        """Run a turn.

        Parameters
        ----------
        asks : sequence of Ask
            In order of arrival.

        Returns
        -------
        tuple of list of Outcome and set of str
            An outcome for each ask, on disk unless all are `PASSING` or `READING`; the topics that
            were notified.

        Notes
        -----
        Guarantees: an answer that comes back is durable; an ask that was refused left nothing;
        when the disk takes no more, every ask of the turn is refused and none left anything.
        """
        turns: list[Turn] = []
        outcomes: list[Outcome] = []

        def work(connection: Connection) -> None:
            for ask in asks:
                turns.append(self._turn(connection, ask.actor, project=ask.project, expired=ask.expired))
                outcomes.append(self._answer(turns[-1], ask))

        kinds = {type(ask.command) for ask in asks}
        writes = not kinds <= READING or any(ask.key for ask in asks)
        durable = not kinds <= PASSING | READING
        try:
            problem = self._restore() or self._commit(work, turns, writes=writes, durable=durable)
        except Exception as fault:  # noqa: BLE001 - every client must hear something
            problem = _mistake(asks[0].command, fault)
        if problem is not None:
            return [problem] * len(asks), set()
        return outcomes, _follow(turns)

    def call(
        self,
        function: Callable[[Turn], object],
        actor: Principal = OWNER,
        *,
        durable: bool = True,
        writes: bool = True,
        lease: str = "",
    ) -> set[str]:
        """Run a function in a turn of its own; return the topics that it notified.

        Parameters
        ----------
        function : callable
            Called with the turn.
        actor : Principal, default OWNER
            In whose name.
        durable : bool, default True
            False: what it writes is worth nothing once the machine is down.
        writes : bool, default True
            False: it only reads, and waits for no other owner.
        lease : str, default ""
            Where owners share the record, it is called only by the one that holds this lease.

        Raises
        ------
        Exception
            What the function raised; nothing that it wrote stays.
        """
        turns: list[Turn] = []

        def work(connection: Connection) -> None:
            if lease and self._dialect.shared and not take_lease(connection, lease, self._holder, _LEASE_S):
                return
            turns.append(self._turn(connection, actor))
            with turns[-1].part():
                function(turns[-1])

        problem = self._restore() or self._commit(work, turns, writes=writes, durable=durable)
        if problem is not None:
            raise problem
        return _follow(turns)

    def adopt(self) -> None:
        """Take up again what went on while nobody looked.

        Raises
        ------
        Unavailable
            The record takes nothing.
        """
        self.call(lambda turn: turn.notify("nodes"))  # whoever takes itself for the only owner hears of this one
        for each in ADOPTIONS:
            self.call(each)

    def _turn(
        self, connection: Connection, actor: Principal, *, project: str = DEFAULT_PROJECT, expired: bool = False
    ) -> Turn:
        return Turn(
            connection,
            self._home,
            self._blobs,
            self._clock,
            self._randomness,
            actor=actor,
            project=project,
            expired=expired,
            node=self._node,
        )

    def _restore(self) -> MainspringError | None:
        """Take up again what was left when the database went away, once it is back; else say what keeps it."""
        problem = self._problem
        if problem is None or time.monotonic() - self._asked_at < _REST_S:
            return problem
        self._problem = None
        try:
            self.adopt()
        except MainspringError as error:
            self._problem, self._asked_at = error, time.monotonic()
        except BaseException:
            self._problem = problem  # not adopted yet
            raise
        return self._problem

    def _connect(self) -> Connection:
        if self._kept is None or self._kept.invalidated:
            self._kept = self._engine.connect()
        return self._kept

    def _stay(self, connection: Connection) -> float:
        """Tell the other owners that this one lives; return when they heard it last."""
        now = time.monotonic()
        if self._dialect.shared and now - self._seen_at > _LEASE_S / 4:
            name = NODE_LEASE + self._node
            take_lease(connection, name, self._node, NODE_LEASE_S)
            self.alone = not has_others(connection, NODE_LEASE, name)
            return now
        return self._seen_at

    def _commit(
        self, work: Callable[[Connection], None], turns: list[Turn], *, writes: bool, durable: bool
    ) -> MainspringError | None:
        transaction: RootTransaction | None = None
        try:
            connection = self._connect()
            transaction = self._dialect.begin(connection, writes=writes, durable=durable)
            seen_at = self._stay(connection) if writes else self._seen_at
            work(connection)
            self._join(connection, turns)
            written = self._dialect.has_written(connection)
            if written:
                if not self.alone:
                    self._dialect.publish(connection, {topic for turn in turns for topic in turn.topics})
                crash_point("owner.turn.before_commit")
            transaction.commit()
        except BaseException as fault:
            if transaction is not None:
                self._dialect.undo(connection, transaction)
            error = find_fault(self._engine, fault, self._home) if isinstance(fault, Exception) else None
            if error is None:
                raise
            if self._kept is None or self._kept.invalidated:
                self._problem = error
            self.outdated = self.outdated or error.code == "HOME-003"
            if error.what != self._said:
                self._said = error.what
                _log.error("a turn was undone: %s", error.what)
            return error
        self._seen_at, self._said = seen_at, ""
        if written:
            crash_point("owner.turn.after_commit")
        return None

    def _join(self, connection: Connection, turns: list[Turn]) -> None:
        topics = {topic for turn in turns for topic in turn.topics}
        for each in self.joining:
            if topics.isdisjoint(each.topics):
                continue
            turn = self._turn(connection, OWNER)
            try:
                with turn.part():
                    each.call(turn)
            except Exception as fault:  # what was asked must not be undone for it; the loop is called again
                if isinstance(find_fault(self._engine, fault, self._home), Unavailable | Denied):
                    raise
                _log.exception("the loop %s failed", each.call.__name__)
            else:
                turns.append(turn)

    def _answer(self, turn: Turn, ask: Ask) -> Outcome:
        try:
            with turn.part():
                admit(turn, ask.command, ask.token)
                check_limit(ask.command)
                return self._handle(turn, ask)
        except _Repeated as repeated:
            outcome: Outcome = repeated.outcome
        except Denied as error:
            outcome = error  # what was answered before is no longer for this actor
        except MainspringError as error:
            kept = _find_kept(turn, ask)
            outcome = error if kept is None else kept
        except Exception as fault:  # of a use case's bug only its own caller hears, not the turn's others
            cause = find_fault(self._engine, fault, self._home)
            if isinstance(cause, Unavailable | Denied):
                raise  # the record takes no more: the whole turn is refused
            outcome = cause or _mistake(ask.command, fault)
        return outcome

    def _handle(self, turn: Turn, ask: Ask) -> Outcome:
        answer = HANDLERS[type(ask.command)](turn, ask.command)
        if isinstance(answer, Later):
            kept = _find_kept(turn, ask)
            if kept is not None:
                raise _Repeated(kept)
            return answer
        body = _encoder.encode(answer)
        # Told by the insert, not looked up before it: a repetition is rare, and undone.
        keeps = ask.key and type(ask.command) not in UNKEPT
        if keeps and not keep_answer(
            turn.connection, name_key(turn, ask.key), _encoder.encode(ask.command), body, turn.now()
        ):
            raise _Repeated(_find_kept(turn, ask) or Answer(body))
        return Answer(body)


class _Repeated(Exception):
    """The request of this key took effect before; what was done again is undone."""

    def __init__(self, outcome: Answer | Conflict) -> None:
        super().__init__()
        self.outcome = outcome


def _mistake(command: Command, fault: Exception) -> MainspringError:
    _log.exception("%s failed", type(command).__name__)
    return Failed("HOME-015", f"{type(command).__name__}: {type(fault).__name__}: {fault}")


def _find_kept(turn: Turn, ask: Ask) -> Answer | Conflict | None:
    if not ask.key:
        return None
    kept = find_answer(turn.connection, name_key(turn, ask.key), _encoder.encode(ask.command))
    if kept is None:
        return None
    body, same = kept
    if same:
        return Answer(body)
    return Conflict("API-011", f"the key of this {type(ask.command).__name__} was sent with another request")


def _follow(turns: list[Turn]) -> set[str]:
    for turn in turns:
        for call in turn.commits:
            try:
                call()
            except Exception:  # noqa: BLE001 - the turn is on disk already
                _log.exception("what follows a commit failed")
    return {topic for turn in turns for topic in turn.topics}
