"""The files of a service's folder through which the owner and the plane speak."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from mainspring.domain.errors import Invalid
from mainspring.domain.records import Problem

DESIRED = "desired.json"
STATUS = "status.json"
PORT = "port"
LOCK = "plane.lock"
CAPTURE = "capture"

_Body = TypeVar("_Body")


class ContextColumn(msgspec.Struct, frozen=True):
    """A named input of a request that is captured but not given to the model.

    Attributes
    ----------
    name : str
        Such as the key that later joins the truth, or the event time.
    datatype : str
        FP32, FP64, INT64, BOOL or BYTES.
    """

    name: str
    datatype: Literal["FP32", "FP64", "INT64", "BOOL", "BYTES"]


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """Bounds of a plane.

    Attributes
    ----------
    body_bytes : int
        Longest request, > 0.
    batch_rows : int
        Rows after which a batch takes no further request, > 0.
    queue_rows : int
        Rows that may wait for a revision; what comes after is refused with 429.
    queue_age_s : float
        When the oldest waiting request is older, new ones are refused with 429.
    remembered_ids : int
        At least that many of the last request ids are known; an older id would be a new
        request. One million ids of 32 characters take some 200 MB.
    segment_bytes, segment_rows : int
        A capture segment is closed when it holds as much.
    drain_s : float
        How long a stopping plane still answers, each time with ``Connection: close``.
    """

    body_bytes: int = 16 * 1024 * 1024
    batch_rows: int = 1024
    queue_rows: int = 8192
    queue_age_s: float = 2.0
    remembered_ids: int = 1_000_000
    segment_bytes: int = 16 * 1024 * 1024
    segment_rows: int = 100_000
    drain_s: float = 0.5


LIMITS = Limits()


class DesiredRevision(msgspec.Struct, frozen=True):
    """A revision that the plane should hold.

    Attributes
    ----------
    number : int
        From 1, within the service.
    model : str
        Pinned reference ``name@number``.
    digest : str
        Content digest of the model version.
    files : dict of str to str
        Relative name -> absolute path of each file of the version.
    weight : int
        Share of the requests, 0 to 100.
    state : str
        loading, canary, live, retired or failed; the plane holds the first three.
    key : str
        Absolute path of the key that a model that is code was sealed with; empty for any other.
    """

    number: int
    model: str
    digest: str
    files: dict[str, str]
    weight: int
    state: str = "live"
    key: str = ""

    @property
    def held(self) -> bool:
        """Whether the plane should have it loaded."""
        return self.state in {"loading", "canary", "live"}


class Desired(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the owner wants of a plane.

    Attributes
    ----------
    generation : int
        Goes up with every change; the status names the last one that was taken over.
    service : str
        The model name of the protocol.
    context : list of ContextColumn
        Inputs that are captured and not given to the model.
    revisions : list of DesiredRevision
        In order of their numbers.
    sensitive : list of str
        Inputs that are not captured, for what was sensitive in training lies nowhere in the clear.
    token_sha256 : list of str
        Digests of the tokens that may ask; empty: everybody on this machine may.
    limits : Limits
        Bounds.
    stopped : bool
        The plane drains and ends.
    """

    generation: int
    service: str
    context: list[ContextColumn] = []
    revisions: list[DesiredRevision] = []
    sensitive: list[str] = []
    token_sha256: list[str] = []
    limits: Limits = LIMITS
    stopped: bool = False


class Moments(msgspec.Struct, frozen=True):
    """How one numeric output of a revision is distributed.

    Attributes
    ----------
    count : int
        Values that are numbers.
    mean, sd : float
        Their mean and standard deviation; 0 without any.
    unknown : int
        Values beside them that are none: NaN, infinite or beyond 1e150.
    """

    count: int
    mean: float
    sd: float
    unknown: int = 0


class RevisionStatus(msgspec.Struct):
    """What the plane knows of a revision.

    Attributes
    ----------
    state : str
        loading, ready, retired or failed.
    model : str
        Pinned reference.
    weight : int
        Percent of the requests that it gets now.
    requests, rows : int
        Answered and captured; exact after any kill.
    errors : int
        Requests on which the model failed, since the plane started.
    latency_us_p50, latency_us_p99 : float
        From the arrival at the core to the answer, since the plane started; bucket bounds, at most 19 % high.
    outputs : dict of str to Moments
        Numeric outputs since the plane started.
    problem : Problem or None
        Why it does not serve.
    """

    state: str
    model: str = ""
    weight: int = 0
    requests: int = 0
    rows: int = 0
    errors: int = 0
    latency_us_p50: float = 0.0
    latency_us_p99: float = 0.0
    outputs: dict[str, Moments] = {}
    problem: Problem | None = None


class Status(msgspec.Struct):
    """What a plane reports.

    Attributes
    ----------
    generation : int
        The last desired state that was taken over.
    pid : int
        Of the plane.
    url : str
        Where it answers.
    ready : bool
        Whether each revision with a weight answers.
    requests, rows : int
        Answered and captured over the life of the service; exact after any kill.
    shed : int
        Requests refused with 429 since the plane started.
    revisions : dict of int to RevisionStatus
        By revision number.
    problem : Problem or None
        What hinders the whole plane.
    """

    generation: int
    pid: int
    url: str
    ready: bool
    requests: int = 0
    rows: int = 0
    shed: int = 0
    revisions: dict[int, RevisionStatus] = {}
    problem: Problem | None = None


def write_desired(folder: Path, desired: Desired) -> None:
    """Replace what the owner wants; whole or not at all, and durable."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_file(folder / DESIRED, msgspec.json.format(msgspec.json.encode(desired)), durable=True)


def read_desired(folder: Path) -> Desired | None:
    """Return what the owner wants, or None before it wanted anything.

    Raises
    ------
    Invalid
        SERVE-021 when the file does not hold it.
    """
    return _read(folder / DESIRED, Desired)


def write_status(folder: Path, content: bytes) -> None:
    """Replace the report of the plane, an encoded `Status`; whole or not at all, not durable."""
    replace_file(folder / STATUS, content, durable=False)


def read_status(folder: Path) -> Status | None:
    """Return the last report of the plane, or None before the first.

    Raises
    ------
    Invalid
        SERVE-021 when the file cannot be read.
    """
    return _read(folder / STATUS, Status)


def find_plane(folder: Path) -> int | None:
    """Return the pid of the plane that serves the folder, or None.

    Notes
    -----
    Asks for the lock that a plane holds while it lives, so that a reused pid never counts.
    """
    try:
        handle = os.open(folder / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(handle, 32, 0).strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(handle)
    return None


def replace_file(path: Path, content: bytes, *, durable: bool) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path, kind: type[_Body]) -> _Body | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as fault:
        raise Invalid("SERVE-021", f"{path.name}: {fault}", path=str(path)) from None
