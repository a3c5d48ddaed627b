"""Messages about what runs log and know of themselves: points, artifacts, tags, provenance, comparisons.

They travel as those of `mainspring.domain.messages` do, which knows them all.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from mainspring.domain import records
from mainspring.domain.command import Command, Count, Time
from mainspring.domain.errors import Invalid

MOST_NAME = 250
"""Characters of the name of a metric, parameter, tag, artifact or experiment."""

MOST_TAG = 5_000
"""Characters of a tag's value."""

MOST_THINNED = 2_000
"""Points of a series that is thinned out, at most."""

OWN = "system/"
"""What the names begin with that only the platform logs."""

FILE = "file"
"""Codec of files as they are: no value of Python, and loaded as a path."""

CHECKPOINT = f"{OWN}checkpoint"
"""Name of the artifacts that `Checkpoint.save` makes."""


class Artifact(msgspec.Struct, frozen=True):
    """Something that a run logged and that is no number.

    Attributes
    ----------
    name : str
        Under which it was logged.
    step : int
        Position among those of its name, >= 0.
    time : float
        Seconds since 1970 UTC.
    value : Value
        What is stored.
    keep : int
        So many of its name stay, the newest; 0: all.
    """

    name: str
    step: int
    time: Time
    value: records.Value
    keep: int = 0


class Report(Command):
    """Points and params of a running run, in order, shipped from its journal.

    `offset` is the position in the journal after these points: a second delivery is dropped.
    """

    run_id: str
    attempt: int
    fence: int
    offset: Count
    points: list[tuple[str, int, Time, float]] = []
    """(key, step, time, value)"""
    params: dict[str, Any] = {}
    tags: dict[str, str] = {}
    artifacts: list[Artifact] = []


class Reported(msgspec.Struct):
    """`order` is ``keep``, ``cancel``, ``prune`` or ``lost``."""

    order: str
    offset: int


class GetSeries(Command):
    """The points of one metric, in order of step; with `most` no more than so many, and no peak is lost."""

    run_id: str
    key: str
    most: Annotated[int, msgspec.Meta(ge=4, le=MOST_THINNED)] | None = None


class ListArtifacts(Command):
    """What a run logged beside numbers, by name and step; of one name only, or of all.

    Files that clients of MLflow logged are among them, under their paths, unless it is asked for `native` ones.
    """

    run_id: str
    name: str | None = None
    native: bool = False


class ResumeRun(Command):
    """Go on with a script's run that has ended, as its next attempt, in the caller's process.

    Its parameters and tags are added to those that it has.
    """

    run_id: str
    params: dict[str, Any] = {}
    tags: dict[str, str] = {}
    host: str = ""
    pid: int = 0
    provenance: str | None = None


class Resumed(msgspec.Struct):
    """The run, and for each of its metrics and artifacts the position after the last one."""

    run: records.Run
    positions: dict[str, int] = {}


class TagRun(Command):
    """Set and remove tags of a run, whether it lives or has ended."""

    run_id: str
    tags: dict[str, str] = {}
    remove: tuple[str, ...] = ()


class Git(msgspec.Struct, frozen=True):
    """The state of a Git work tree.

    Attributes
    ----------
    commit : str
        Its 40 or 64 hexadecimal characters; empty before the first one.
    branch : str
        Empty when none is checked out.
    remote : str
        URL of ``origin`` without its password; empty when there is none.
    dirty : bool or None
        Whether tracked files differ from the commit; None: Git took too long to tell.
    diff : str
        How they differ, with what looks like a secret masked, and cut.
    untracked : list of str
        Files that Git neither tracks nor ignores; the first 100.
    """

    commit: str
    branch: str = ""
    remote: str = ""
    dirty: bool | None = None
    diff: str = ""
    untracked: list[str] = []


class Environment(msgspec.Struct, frozen=True):
    """What is installed where a process runs; it locks what code found."""

    python: str
    platform: str
    packages: dict[str, str]


class Provenance(msgspec.Struct, frozen=True):
    """What a process knew of itself when it began a run.

    Attributes
    ----------
    host : str
        Name of the machine.
    folder : str
        Working folder.
    command : list of str
        Its words, with what looks like a secret masked.
    environment : Environment or str
        As told to the owner; it keeps the digest of it, so that equal ones are stored once.
    git : Git or None
        None outside of a Git work tree.
    """

    host: str
    folder: str
    command: list[str]
    environment: Environment | str
    git: Git | None = None


class PutProvenance(Command):
    """Keep what a process knows of itself; answers with the digest that its runs name."""

    provenance: Provenance


class GetProvenance(Command):
    """What the process of a run knew of itself."""

    run_id: str


class CompareRuns(Command):
    """What differs between two runs, each by id, unique prefix or suffix."""

    before: str
    after: str


class Comparison(msgspec.Struct):
    """What differs between two runs.

    Attributes
    ----------
    before, after : Run
        The runs.
    changes : dict of str to list
        Part (``run``, ``params``, ``metrics``, ``tags``, ``code``, ``data``, ``environment``,
        ``git``, ``command``) -> (name, value before, value after); None: it has none. Parts that are
        equal are left out.
    """

    before: records.Run
    after: records.Run
    changes: dict[str, list[tuple[str, Any, Any]]] = {}


ANSWERS: dict[type[Command], Any] = {
    Report: Reported,
    GetSeries: list[tuple[int, float, float]],
    ListArtifacts: list[Artifact],
    ResumeRun: Resumed,
    TagRun: records.Run,
    PutProvenance: str,
    GetProvenance: Provenance | None,
    CompareRuns: Comparison,
}


def spell(value: Any) -> str:
    """Return the text of a param: its own, or that of its JSON.

    Examples
    --------
    >>> spell("trees"), spell(0.1), spell(True), spell([1, 2])
    ('trees', '0.1', 'true', '[1,2]')
    """
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def check_name(name: Any, what: str) -> None:
    """Refuse what cannot be a name of something logged.

    Raises
    ------
    Invalid
        STEP-009.
    """
    if type(name) is not str or not 0 < len(name) <= MOST_NAME or not name.isprintable():
        raise Invalid("STEP-009", f"{name!r:.300} is no name of {what}: 1 to {MOST_NAME} printable characters")


def check_tags(tags: dict[str, str]) -> None:
    """Refuse tags that the record does not keep.

    Raises
    ------
    Invalid
        STEP-009 for a name; LOG-002 for a text that is too long.
    """
    for name, value in tags.items():
        check_name(name, "a tag")
        if len(value) > MOST_TAG:
            what = f"the tag {name} has {len(value):,} characters, above {MOST_TAG:,}"
            raise Invalid("LOG-002", what, fix=f"log({name}=...) keeps a longer text")
