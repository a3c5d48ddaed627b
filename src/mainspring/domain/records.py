"""The rows of the record as they travel: runs, versions, services, renewals, events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from mainspring.domain.command import Count, Seconds, Time
from mainspring.domain.errors import fill_places
from mainspring.domain.html import render_fields, render_lines
from mainspring.domain.principals import DEFAULT_PROJECT
from mainspring.domain.states import RenewalState, RunState

Json = Any
_Cores = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
_Money = Annotated[float, msgspec.Meta(ge=0, le=1e15)]
_Nodes = Annotated[int, msgspec.Meta(ge=1, le=4096)]
_Type = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class Resources(msgspec.Struct, frozen=True):
    """What a run asks of a node.

    Attributes
    ----------
    cpus : float
        Cores, > 0.
    memory_bytes : int or None
        Limit of resident memory; None means no limit of our own.
    gpus : float
        Devices, >= 0.
    pool : str or None
        Name of the pool; None means any that may.
    sensitive : bool
        It may only be where what is sensitive may.
    nodes : int
        Machines of one pool at once, each of which gives all of the above; more than 1 is a gang.
    gpu_types : tuple of str
        Any of these types of device will do, ``("A100",)``; empty: every type.
    """

    cpus: _Cores = 1.0
    memory_bytes: Count | None = None
    gpus: _Cores = 0.0
    pool: str | None = None
    sensitive: bool = False
    nodes: _Nodes = 1
    gpu_types: Annotated[tuple[_Type, ...], msgspec.Meta(max_length=16)] = ()


class Value(msgspec.Struct, frozen=True):
    """A stored value that travels between steps.

    Attributes
    ----------
    codec : str
        How the bytes are written: ``json``, ``arrow``, ``ndarray``, ``skops``, ``sealed`` ...
    digest : str
        SHA-256 of the bytes, the name of the blob.
    size_bytes : int
        Length of the blob.
    summary : str
        A few words for people: ``1.2 MB table of 51,955 rows``.
    parts : tuple of str
        Digests of the other blobs that it is made of; told on the way to the record, not kept with
        the value.
    """

    codec: str
    digest: str
    size_bytes: int
    summary: str = ""
    parts: tuple[str, ...] = ()


class Problem(msgspec.Struct, frozen=True):
    """Why something failed, as the record keeps it."""

    code: str
    what: str
    why: str = ""
    fix: str = ""
    traceback: str = ""
    context: dict[str, Json] = {}

    def about(self, **known: str) -> Problem:
        """Return it with what is known here, such as ``run``, in its places of the fix."""
        return msgspec.structs.replace(self, fix=fill_places(self.fix, known))


class Fingerprint(msgspec.Struct, frozen=True):
    """What a step's result depends on; two equal ones give the same key.

    Attributes
    ----------
    version : int
        Version of the rules that made it.
    code : dict of str to str
        Qualified name of each function, class and constant reached -> digest.
    inputs : dict of str to str
        Argument -> digest of its content.
    environment : dict of str to str
        ``python``, and each distribution reached -> version; declared variables -> digest.
    """

    version: int
    code: dict[str, str]
    inputs: dict[str, str]
    environment: dict[str, str]


class Call(msgspec.Struct, frozen=True):
    """What a worker executes.

    Attributes
    ----------
    payload : str
        Digest of the sealed blob ``(function, args, kwargs)``, or empty for a job.
    job : str
        Name of a job of the platform (``gate``, ``check``, ``collect``, ``pipeline``), or empty.
    arguments : JSON
        Arguments of the job.
    python : str
        Interpreter that the worker runs; empty means the owner's.
    paths : tuple of str
        Folders to put in front of `sys.path`.
    folder : str
        Working folder; empty means the worker's own.
    preload : tuple of str
        Third-party modules that the fork server imports beforehand.
    code_digest : str
        Workers that hold another code digest do not take the call.
    environment : str
        Digest of the lock of the environment that it runs in; empty: what its interpreter has.
    variables : dict of str to str
        Variables of its process.
    snapshot : str
        Digest of the blob of code that is laid out for it; of a call from another machine.
    needs : dict of str to str
        Of a call from another machine: ``python``, and distributions, with the versions it was made with.
    foreign : str
        Whose call from another machine it is, as the owner says, never the caller; its payload has no seal.
    parts : tuple of str
        Digests of the blobs of arguments that are stored apart from the payload.
    reads : tuple of str
        References of the dataset versions that it is given.
    exposed : bool
        Whoever made it had seen something sensitive.
    """

    payload: str = ""
    job: str = ""
    arguments: Json = None
    python: str = ""
    paths: tuple[str, ...] = ()
    folder: str = ""
    preload: tuple[str, ...] = ()
    code_digest: str = ""
    environment: str = ""
    variables: dict[str, str] = {}
    snapshot: str = ""
    needs: dict[str, str] = {}
    foreign: str = ""
    parts: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    exposed: bool = False

    @property
    def blobs(self) -> tuple[str, ...]:
        """Digests of all blobs that a worker reads to execute it."""
        return tuple(each for each in (self.payload, self.snapshot, self.environment, *self.parts) if each)


class Attempt(msgspec.Struct, frozen=True):
    """A try of a run that was not its last.

    Attributes
    ----------
    number : int
        From 1 on.
    reason : str
        How it ended.
    started_at : float or None
        When its code began; None when it never did.
    ended_at : float
        When it ended.
    wait_s : float
        How long the next one had to wait.
    place : str
        Where it was, ``POOL/NODE``; empty: nowhere.
    cost : float
        What rented machines have cost for it; only who asks for the one run is told.
    lost_s : float
        How long it had worked since the run's last checkpoint; the next one does that again.
    """

    number: int
    reason: str
    started_at: Time | None
    ended_at: Time
    wait_s: Seconds = 0.0
    place: str = ""
    cost: _Money = 0.0
    lost_s: Seconds = 0.0


class Run(msgspec.Struct):
    """One execution of code; the unit of queueing, tracking, caching, lineage and cost.

    `place` tells where a worker was given it, ``POOL/NODE``; it is empty for what runs where it was called. `cost` is
    what rented machines have cost for it, all attempts together; only who asks for the one run is told.
    """

    id: str
    project: str
    kind: str
    name: str
    state: RunState
    reason: str = ""
    parent_id: str | None = None
    attempt: int = 1
    fence: int = 0
    key: str | None = None
    cached_from: str | None = None
    fingerprint: Fingerprint | None = None
    params: dict[str, Json] = {}
    tags: dict[str, str] = {}
    resources: Resources = Resources()
    outputs: Value | None = None
    details: Json = None
    problem: Problem | None = None
    principal: str = ""
    host: str = ""
    pid: int = 0
    retries: int = 0
    timeout_s: float | None = None
    created_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    cpu_s: float | None = None
    memory_bytes: int | None = None
    experiment: str = ""
    provenance: str | None = None
    backoff_s: float = 0.0
    attempts: list[Attempt] = []
    place: str = ""
    metrics: dict[str, float] = {}
    cost: float = 0.0


class Version(msgspec.Struct):
    """An immutable version of a dataset or model.

    Attributes
    ----------
    digest : str
        Content digest; equal content is the same version.
    manifest : JSON
        Where the bytes are: for a dataset ``{"table": folder, "delta_version": n,
        "files": [...]}``, for a model ``{relative name: blob digest}``.
    details : JSON
        What the craft wants to keep: contract, counts, profile | signature, parity, goal.
    inputs : tuple of str
        Ids of the versions it was made from.
    description : str
        What people say of it.
    tags : dict of str to str
        What people and programs note on it.
    stage : str
        Of MLflow's protocol, which alone has stages; empty: none.
    changed_at : float or None
        When description, tags or stage last changed; None: never.
    """

    id: str
    kind: str
    project: str
    name: str
    number: int
    digest: str
    manifest: Json
    details: Json = None
    run_id: str | None = None
    inputs: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    created_at: float = 0.0
    description: str = ""
    tags: dict[str, str] = {}
    stage: str = ""
    changed_at: float | None = None

    @property
    def reference(self) -> str:
        """The pinned reference, ``name@number``."""
        return f"{self.name}@{self.number}"


class Declaration(msgspec.Struct, frozen=True):
    """An inert value handed over by `apply`.

    Attributes
    ----------
    kind : str
        gate, pipeline, monitor, contract or view.
    name : str
        Its name; for a gate ``model->alias``.
    body : JSON
        Its content.
    source : str
        The file that declares it, by a name that is the same whenever it is applied; empty: none that is known.
    """

    kind: Literal["gate", "pipeline", "monitor", "contract", "view"]
    name: str
    body: dict[str, Json]
    source: str = ""


class Snapshot(msgspec.Struct, frozen=True):
    """Content-addressed code: relative POSIX path -> digest of the blob.

    Attributes
    ----------
    lock : str
        Digest of the list of what was installed where it was taken.
    """

    files: dict[str, str]
    entry: str
    python: str
    preload: tuple[str, ...] = ()
    lock: str = ""


class Revision(msgspec.Struct):
    """One model version within a service.

    Attributes
    ----------
    number : int
        From 1, within the service.
    model : str
        Pinned reference ``name@number``.
    digest : str
        The version's content digest.
    weight : int
        Percent of the requests, 0 to 100.
    state : str
        loading, canary, live, retired or failed.
    """

    number: int
    model: str
    digest: str
    weight: int
    state: str
    created_at: float = 0.0


class Service(msgspec.Struct):
    """A deployed endpoint with desired state.

    Attributes
    ----------
    follows : str
        The reference that was deployed, ``delays@champion`` or a pinned one.
    health : str
        starting, loading, ready, stopping or stopped.
    phase : str
        checking, training, canary or steady: what its loop does now.
    statistics : JSON
        What its plane reported last.
    """

    id: str
    project: str
    name: str
    follows: str
    rollout: str
    generation: int
    desired: bool
    revisions: list[Revision] = []
    monitor: Json = None
    url: str = ""
    pid: int = 0
    health: str = "starting"
    phase: str = ""
    statistics: Json = None
    problem: Problem | None = None
    created_at: float = 0.0


class Verdict(msgspec.Struct):
    """The outcome of a gate on unseen data.

    Attributes
    ----------
    rules : str
        SHA-256 of the gate that judged; empty: none was declared.
    """

    id: str
    run_id: str
    model: str
    alias: str
    champion: str | None
    data: str
    passed: bool
    summary: str
    evidence: Json
    created_at: float = 0.0
    project: str = DEFAULT_PROJECT
    rules: str = ""

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        return f"{'PASSED' if self.passed else 'REFUSED'}  {self.summary}"

    def __repr__(self) -> str:
        return f"<Verdict {self.model} for {self.alias}: {'passed' if self.passed else 'refused'}>"

    def _repr_html_(self) -> str:
        fields = {"data": self.data, "against": self.champion or "the baseline", "why": self.summary}
        return render_fields(
            f"{self.model} for {self.alias}: {'passed' if self.passed else 'REFUSED'}",
            fields,
            f"evidence: mainspring runs show {self.run_id[-6:]}",
        )


class Alarm(msgspec.Struct):
    """What a monitor raised; times are event times in seconds since 1970 UTC."""

    id: str
    service: str
    kind: str
    subject: str
    summary: str
    evidence: Json
    event_time: float
    state: str = "open"
    renewal_id: str | None = None
    run_id: str | None = None
    created_at: float = 0.0
    project: str = DEFAULT_PROJECT


class Renewal(msgspec.Struct):
    """A case: opened -> training -> judged -> canary -> promoted, refused or rolled back."""

    id: str
    service: str
    state: RenewalState
    cause: str
    event_time: float
    alarm_id: str | None = None
    run_id: str | None = None
    candidate: str | None = None
    champion: str | None = None
    verdict_id: str | None = None
    revision: int | None = None
    steps: list[Json] = []
    created_at: float = 0.0
    closed_at: float | None = None
    project: str = DEFAULT_PROJECT


class Event(msgspec.Struct):
    """An append-only fact."""

    seq: int
    time: float
    kind: str
    subject: str
    body: Json = None
    event_time: float | None = None
    project: str = DEFAULT_PROJECT


class Reason(msgspec.Struct):
    """An answer to why: lines for people, data for machines."""

    subject: str
    lines: list[str]
    data: Json = None

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def __repr__(self) -> str:
        return f"<Reason {self.subject}: {self.lines[0] if self.lines else ''}>"

    def _repr_html_(self) -> str:
        return render_lines(self.subject, self.lines)
