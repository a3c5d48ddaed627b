"""What a use case works with: its part of a turn's transaction, and what follows the commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mainspring.domain import ids
from mainspring.domain.access import Head
from mainspring.domain.home import Home
from mainspring.domain.near import suggest
from mainspring.domain.ports import Blobs, Clock, Randomness
from mainspring.domain.principals import ANY_PROJECT, DEFAULT_PROJECT, Principal
from mainspring.security.audit import chain, write_body
from mainspring.security.policy import authorise
from mainspring.store.audit import add_entry, read_last, write_home_head
from mainspring.store.engine import savepoint
from mainspring.store.events import add_event
from mainspring.store.tables import LOCAL

if TYPE_CHECKING:
    from mainspring.domain.pools import Pool
    from mainspring.store.words import Connection

NODE_LEASE = "node:"
"""What the names of leases begin with by which owners tell that they live."""

NODE_LEASE_S = 20.0
"""Seconds after which an owner that has not told that it lives may be gone."""


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
    actor : Principal
        Who asks.
    project : str, default `DEFAULT_PROJECT`
        In which project.
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
    pools : dict of str to Pool or None
        What is known of the pools, once it was read; None again when one was changed.
    """

    __slots__ = (
        "actor",
        "blobs",
        "clock",
        "commits",
        "connection",
        "expired",
        "home",
        "node",
        "pools",
        "project",
        "randomness",
        "topics",
    )

    def __init__(
        self,
        connection: Connection,
        home: Home,
        blobs: Blobs,
        clock: Clock,
        randomness: Randomness,
        *,
        actor: Principal,
        project: str = DEFAULT_PROJECT,
        expired: bool = False,
        node: str = LOCAL,
    ) -> None:
        self.connection = connection
        self.home = home
        self.blobs = blobs
        self.clock = clock
        self.randomness = randomness
        self.actor = actor
        self.project = project
        self.expired = expired
        self.node = node
        self.commits: list[Callable[[], object]] = []
        self.topics: set[str] = set()
        self.pools: dict[str, Pool] | None = None

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
        add_event(self.connection, self.project, self.now(), kind, subject, str(self.actor), body, event_time)
        self.notify("events")
        self.notify(f"events.{kind}")

    def audit(self, action: str, subject: str, *, before: Any = None, after: Any = None, home: bool = False) -> None:
        """Append an act to the audit's chain, in this transaction.

        Parameters
        ----------
        action : str
            A name of `mainspring.security.policy.ACTIONS`, or what became of one.
        subject : str
            What it was done to.
        before, after : JSON, optional
            The state around it; never a secret.
        home : bool, default False
            It concerns the home, not the project.
        """
        entry = chain(
            read_last(self.connection),
            time=self.now(),
            project=ANY_PROJECT if home else self.project,
            principal=str(self.actor),
            action=action,
            subject=subject,
            body=write_body(before, after),
        )
        add_entry(self.connection, entry)
        head = Head(entry.seq, entry.digest)
        self.after_commit(lambda: write_home_head(self.home.audit_head, head))

    def require(self, action: str) -> None:
        """Refuse unless the actor may do something more than its use case asked for.

        Parameters
        ----------
        action : str
            A name of `mainspring.security.policy.ACTIONS`.

        Raises
        ------
        Denied
            AUTH-005, AUTH-006, AUTH-007 or AUTH-010.
        """
        refusal = authorise(self.actor, action, self.project)
        if refusal is not None:
            raise refusal

    def may(self, action: str) -> bool:
        """Tell whether the actor may do something besides what its use case asked for; nothing is refused."""
        return authorise(self.actor, action, self.project) is None

    def suggest(self, action: str, name: str, names: Iterable[str]) -> str:
        """Return which name may have been meant, as a fix; empty when none is near or the actor may not list them.

        Parameters
        ----------
        action : str
            What who lists those names must be allowed.
        name : str
            What was asked for.
        names : iterable of str
            Those that there are.
        """
        return suggest(name, names, "did you mean {}?") if self.may(action) else ""

    @contextmanager
    def within(self, project: str) -> Iterator[None]:
        """Work in another project for a while, as loops do that serve all of them."""
        before, self.project = self.project, project
        try:
            yield
        finally:
            self.project = before

    @contextmanager
    def acting(self, actor: Principal) -> Iterator[None]:
        """Work in the name of somebody else for a while, as loops do that start what he applied."""
        before, self.actor = self.actor, actor
        try:
            yield
        finally:
            self.actor = before

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
