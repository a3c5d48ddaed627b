"""What a use case works with: its part of a turn's transaction, and what follows the commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mainspring.domain import ids
from mainspring.domain.home import Home
from mainspring.domain.ports import Blobs, Clock, Randomness
from mainspring.store.engine import savepoint
from mainspring.store.events import add_event
from mainspring.store.tables import LOCAL

if TYPE_CHECKING:
    from sqlalchemy import Connection

NODE_LEASE = "node:"
"""What the names of leases begin with by which owners tell that they live."""

PROJECT = "default"
"""The one project of a home, until there are several."""


class Turn:
    """One request's part of a turn.

    A turn is everything that waits for the owner at one moment, in one transaction. Each request
    has a savepoint: when its use case raises, its own writes and effects are undone and its
    neighbours' stay.

    Parameters
    ----------
    connection : Connection
        Inside the transaction and this request's savepoint.
    home : Home
        The home that is owned.
    blobs : Blobs
        The home's blobs.
    clock : Clock
        Where time is read.
    randomness : Randomness
        Where bits are drawn.
    actor : str
        Who asks, such as ``user:anna`` or ``owner``.
    expired : bool
        A request that waited has waited long enough and must be answered now.
    node : str
        The home's name among those that share the record.

    Attributes
    ----------
    commits : list of callable
        What runs after the commit, in order.
    topics : set of str
        What the requests that wait are told after the commit.
    """

    __slots__ = ("actor", "blobs", "clock", "commits", "connection", "expired", "home", "node", "randomness", "topics")

    def __init__(
        self,
        connection: Connection,
        home: Home,
        blobs: Blobs,
        clock: Clock,
        randomness: Randomness,
        *,
        actor: str,
        expired: bool = False,
        node: str = LOCAL,
    ) -> None:
        self.connection = connection
        self.home = home
        self.blobs = blobs
        self.clock = clock
        self.randomness = randomness
        self.actor = actor
        self.expired = expired
        self.node = node
        self.commits: list[Callable[[], object]] = []
        self.topics: set[str] = set()

    def now(self) -> float:
        """Return the wall time in seconds since 1970 UTC."""
        return self.clock.now()

    def new_id(self) -> str:
        """Make an identifier."""
        return ids.new_id(self.clock, self.randomness)

    def emit(self, kind: str, subject: str, body: Any = None, event_time: float | None = None) -> None:
        """Append a fact to the events, in this transaction.

        Parameters
        ----------
        kind : str
            What happened: ``data``, ``model``, ``run.failed``, ``alarm`` ...
        subject : str
            What it happened to: a name, a reference, an id.
        body : JSON, optional
            Details.
        event_time : float, optional
            When it happened in the world, in seconds since 1970 UTC.
        """
        add_event(self.connection, self.now(), kind, subject, self.actor, body, event_time)
        self.notify("events")

    def after_commit(self, call: Callable[[], object]) -> None:
        """Run a call once this turn is on disk, and never when it is not."""
        self.commits.append(call)

    @contextmanager
    def part(self) -> Iterator[None]:
        """Undo what is written inside when it raises, and forget what was to follow it."""
        commits, topics = len(self.commits), set(self.topics)
        try:
            with savepoint(self.connection):
                yield
        except BaseException:
            del self.commits[commits:]
            self.topics.intersection_update(topics)
            raise

    def notify(self, topic: str) -> None:
        """Have the requests that wait for a topic tried again, once this turn is on disk."""
        self.topics.add(topic)
