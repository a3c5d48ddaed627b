"""The wire's messages: what SDK, command line and workers ask the owner, and its answers.

Each command is a tagged struct; `mainspring.domain.answers` names the type of its answer. A command that writes
takes effect once for one `idempotency key` of its request.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mainspring.domain import records
from mainspring.domain.command import Command as Command  # noqa: PLC0414 - told on
from mainspring.domain.command import Count, Seconds, Time
from mainspring.domain.command import Nothing as Nothing  # noqa: PLC0414 - told on
from mainspring.domain.gangs import Rank
from mainspring.domain.glance import Status as Status  # noqa: PLC0414 - told on
from mainspring.domain.html import render_table
from mainspring.domain.leases import Lease as Lease  # noqa: PLC0414 - told on
from mainspring.domain.leases import LeaseRun as LeaseRun  # noqa: PLC0414 - told on
from mainspring.domain.leases import Study as Study  # noqa: PLC0414 - told on
from mainspring.domain.records import Json
from mainspring.domain.states import EndState
from mainspring.domain.tracking import GetSeries as GetSeries  # noqa: PLC0414 - told on
from mainspring.domain.tracking import Report as Report  # noqa: PLC0414 - told on
from mainspring.domain.tracking import Reported as Reported  # noqa: PLC0414 - told on

AssetKind = Literal["dataset", "model"]


# --- runs ---------------------------------------------------------------------------------


class BeginRun(Command):
    """Start a run in the caller's own process: a pipeline, an inline step, a study.

    With a key and `cache`, an earlier success of that key answers as a hit, recorded as a run
    of its own. With a `call` it can be made again, however its process ends.
    """

    kind: str
    name: str
    parent_id: str | None = None
    params: dict[str, Json] = {}
    tags: dict[str, str] = {}
    key: str | None = None
    cache: bool = False
    fingerprint: records.Fingerprint | None = None
    resources: records.Resources = records.Resources()
    host: str = ""
    pid: int = 0
    details: Json = None
    experiment: str = ""
    provenance: str | None = None
    call: records.Call | None = None


class Begun(msgspec.Struct):
    """`hit` tells that `run.outputs` already holds the result; `reason` says why (not)."""

    run: records.Run
    hit: bool
    reason: str


class SubmitRuns(Command):
    """Queue runs for workers; each is one `BeginRun` with what to execute."""

    runs: list[RunSpec]


class RunSpec(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A run to queue; `dedupe` makes a second submission answer with the first run."""

    kind: str
    name: str
    call: records.Call
    dedupe: str | None = None
    parent_id: str | None = None
    params: dict[str, Json] = {}
    tags: dict[str, str] = {}
    key: str | None = None
    cache: bool = False
    fingerprint: records.Fingerprint | None = None
    resources: records.Resources = records.Resources()
    retries: int = 0
    timeout_s: Seconds | None = None
    backoff_s: Seconds = 0.0
    study: Study | None = None
    experiment: str = ""
    provenance: str | None = None


class Heartbeat(Command):
    """Keep runs leased; sent by a thread or process without user code."""

    leases: list[tuple[str, int, int]]
    """(run id, attempt, fence)"""


class Beats(msgspec.Struct):
    """Per run id: ``keep``, ``cancel``, ``prune`` or ``lost`` (the fence is old)."""

    orders: dict[str, str]


class FinishRun(Command):
    """End a run with its result, or with the `call` that failed; an old fence is refused (RUN-005).

    A gang has succeeded when all its members say so; the result is that of rank 0.
    """

    run_id: str
    attempt: int
    fence: int
    state: EndState
    outputs: records.Value | None = None
    details: Json = None
    problem: records.Problem | None = None
    cpu_s: Seconds | None = None
    memory_bytes: int | None = None
    call: records.Call | None = None
    attempts: list[records.Attempt] = []
    rank: Rank = 0
    wait_s: Seconds = 0.0


class GetRun(Command):
    """One run by id, unique prefix or suffix."""

    id: str


class ListRuns(Command):
    """The newest runs with exactly these values, newest first; `page` is the id of the last run before."""

    kind: str | None = None
    name: str | None = None
    state: str | None = None
    parent_id: str | None = None
    key: str | None = None
    limit: Count = 100
    page: str = ""


class SearchRuns(Command):
    """A page of the runs that a filter of `mainspring.domain.filters` holds for.

    Attributes
    ----------
    filter : str
        Empty: all runs.
    order_by : str
        A field, ``-`` in front for descending; empty: newest first.
    limit : int
        Runs on the page, from 1 to 1,000.
    page : str
        `RunPage.next` of the page before; empty: the first one.
    count : bool
        Count all runs that the filter holds for.
    """

    filter: str = ""
    order_by: str = ""
    limit: Count = 100
    page: str = ""
    count: bool = False


class RunPage(msgspec.Struct, frozen=True):
    """A part of a search's runs.

    Attributes
    ----------
    runs : list of Run
        In the order asked for.
    next : str or None
        Names the next page; None: this is the last.
    count : int or None
        All runs of the search, when it was asked for.
    """

    runs: list[records.Run]
    next: str | None = None
    count: int | None = None


class WaitRuns(Command):
    """Answer when all runs have ended, or after `wait_s` with their present states."""

    ids: list[str]
    wait_s: Seconds = 10.0


class CancelRuns(Command):
    """Cancel runs with everything below them."""

    ids: list[str]
    reason: str = "cancelled by the user"


class GetLogs(Command):
    """The text that a run printed, from `offset`; waits for more while it runs."""

    run_id: str
    offset: Count = 0
    wait_s: Seconds = 0.0
    rank: Rank = 0


class Logs(msgspec.Struct):
    """Text, the offset after it, and whether more can come."""

    text: str
    offset: int
    ended: bool


# --- assets -------------------------------------------------------------------------------


class PutVersion(Command):
    """Record a version; the digest of an existing version of that name answers with it.

    With `more` equal content is one more version all the same; then it needs an idempotency key.
    """

    kind: AssetKind
    name: str
    digest: str
    manifest: Json
    details: Json = None
    run_id: str | None = None
    inputs: tuple[str, ...] = ()
    event_time: Time | None = None
    more: bool = False
    description: str = ""
    tags: dict[str, str] = {}


class GetVersion(Command):
    """The version that a reference names."""

    kind: AssetKind
    reference: str
    run_id: str | None = None
    """The run that reads it; recorded as lineage."""
    follower: str | None = None
    """The run whose result depends on what a reference without a number names now."""


class ListVersions(Command):
    """Versions of a name, with its deleted ones if wanted, or the latest of each name; newest first, paged by id."""

    kind: AssetKind
    name: str | None = None
    limit: Count = 100
    deleted: bool = False
    page: str = ""


class ListReads(Command):
    """The dataset versions that a run and all runs of its tree have read, oldest first.

    The tree is that of the topmost run above it. Gates, checks and collections, which judge and
    watch, are left out; a run that was a hit counts with what the run before it read.
    """

    run_id: str


class MoveAlias(Command):
    """Point an alias at a version; a gated one follows a passing verdict only (GATE-003).

    With `force` an approver moves it without one, and says why.
    """

    kind: AssetKind
    name: str
    alias: str
    number: int
    reason: str = ""
    force: bool = False


# --- promotion, services, renewals --------------------------------------------------------


class Apply(Command):
    """Hand declarations over; equal ones change nothing.

    Attributes
    ----------
    base : dict of str to str
        `Diff.base` of the difference that was looked at: what is in force must still be that (TRIGGER-004).
    files : list of str
        Sources of declarations, of which all that they declare is handed over, to tell what they declare no longer.
    prune : bool
        Take out of force what they declare no longer; a gate stays, which takes an approver and a reason.
    """

    declarations: list[records.Declaration]
    dry_run: bool = False
    base: dict[str, str] = {}
    files: list[str] = []
    prune: bool = False


class Difference(msgspec.Struct, frozen=True):
    """One field of a declaration, as it was and as it is to be."""

    kind: str
    name: str
    field: str
    before: str
    after: str


class Diff(msgspec.Struct):
    """What an apply changes.

    Attributes
    ----------
    changes : list of tuple
        (mark, kind, name, detail) where mark is ``+`` new, ``~`` changed, ``=`` as it was, ``-`` out of force, or
        ``!``: no longer in its file, and in force all the same.
    details : list of Difference
        Field by field.
    base : dict of str to str
        ``kind name`` -> digest of what was in force; empty: nothing was.
    needs : dict of str to str
        ``kind name`` of what changes -> the role that it takes.
    moved : list of str
        ``kind name`` of what is as it was, and declared by another file now.
    """

    changes: list[tuple[str, str, str, str]]
    details: list[Difference] = []
    base: dict[str, str] = {}
    needs: dict[str, str] = {}
    moved: list[str] = []

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        return render_table(("", "kind", "name", "what"), self.changes)

    def lines(self) -> list[str]:
        """Return the difference as people read it."""
        found: list[str] = []
        for mark, kind, name, detail in self.changes:
            role = self.needs.get(f"{kind} {name}", "")
            told = [each for each in self.details if (each.kind, each.name) == (kind, name)]
            words = (f"{mark} {kind} {name}", f"(needs {role})" if role else "", "" if told else detail)
            found.append("  ".join(filter(None, words)))
            found += [f"    {each.field}: {f'{each.before} -> ' if each.before else ''}{each.after}" for each in told]
        return found


class GetDeclaration(Command):
    """What was applied last under a kind and name."""

    kind: str
    name: str


class Promote(Command):
    """Run the gate of (model, alias) on a dataset version; answers with the gate's run."""

    model: str
    alias: str
    data: str
    reason: str = ""
    run_id: str | None = None


class GetVerdict(Command):
    """The verdict that a gate run ended with."""

    run_id: str


class Deploy(Command):
    """Set the desired state of a service."""

    name: str
    model: str
    rollout: str = "canary"
    monitor: Json = None
    run_id: str | None = None


class GetService(Command):
    """One service by name."""

    name: str


class ListServices(Command):
    """Services, newest first; `page` is the id of the last one before."""

    limit: Count = 10_000
    page: str = ""


class StopService(Command):
    """Stop a service; its record stays."""

    name: str


class RollbackService(Command):
    """Make the revision before the live one live again."""

    name: str
    reason: str = ""


class CheckService(Command):
    """Check a service up to an event time; once for a (service, until), unless that check failed.

    Answers with the check's run; the loop opens a renewal when its decision says so.
    """

    name: str
    until: Time


class ListAlarms(Command):
    """Alarms, newest first; `page` is the id of the last one before."""

    service: str | None = None
    limit: Count = 100
    page: str = ""


class ListRenewals(Command):
    """Renewals, newest first; `page` is the id of the last one before."""

    service: str | None = None
    limit: Count = 100
    page: str = ""


class ListEvents(Command):
    """Events after a sequence number, oldest first; waits at most `wait_s` for one."""

    after: Count = 0
    kind: str | None = None
    subject: str | None = None
    limit: Count = 1000
    wait_s: Seconds = 0.0


class Explain(Command):
    """Why: of a run, model@alias, ..., dataset version; of a run that waits its start is foretold within `wait_s`."""

    thing: str
    wait_s: Seconds = 0.0


class GetStatus(Command):
    """The home at a glance."""


class Stop(Command):
    """Ask the owner to end; services go on."""
