"""Messages about triggers: what starts an applied pipeline by itself, and what became of it.

They travel as those of `mainspring.domain.messages` do, which knows them all.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mainspring.domain.command import Command, Count
from mainspring.domain.records import Json, Run

MOST_BODY_BYTES = 65_536
"""Of a call from outside; the rest is not read."""


class Trigger(msgspec.Struct, frozen=True):
    """What starts a pipeline, as it is declared.

    Attributes
    ----------
    event : str
        ``time``, ``alarm``, ``data``, ``model.promoted``, ``run.failed``, ``file`` or ``webhook``.
    match : dict of str to str
        What the event must say; for ``time`` the ``expression`` and its zone ``tz``.
    cooldown_s : float or None
        Least seconds between two starts, in event time or by the clock, whichever ends first; what
        happens meanwhile starts once when they have passed.
    policy : str
        For ``alarm``: ``regret``.
    """

    event: str
    match: dict[str, str]
    cooldown_s: float | None = None
    policy: str = "regret"

    def __str__(self) -> str:
        if self.event == "time":
            return f"Cron {self.match.get('expression')} {self.match.get('tz')}"
        said = ", ".join(f"{name}={value}" for name, value in sorted(self.match.items()))
        return f"On {self.event}({said})"


class Happening(msgspec.Struct, frozen=True):
    """Something that may start pipelines.

    Attributes
    ----------
    event : str
        As of a `Trigger`.
    facts : dict of str to str
        What a trigger may match.
    subject : str
        What it happened to, for people.
    time : float
        When it was recorded.
    event_time : float
        When it happened in the world.
    body : JSON
        What the pipeline is told of it.
    number : int
        Of the event in the record; 0: it is none.
    trigger : str
        Id of the only trigger that it is for; empty: any that it matches.
    chain : tuple of str
        Pipelines whose runs led to it.
    """

    event: str
    facts: dict[str, str]
    subject: str
    time: float
    event_time: float
    body: Json = None
    number: int = 0
    trigger: str = ""
    chain: tuple[str, ...] = ()


class Standing(msgspec.Struct):
    """A trigger of an applied pipeline, and what became of it.

    Attributes
    ----------
    principal : str
        Who applied it: runs are started in this name.
    principal_id : str or None
        Of that account; None: the user of the home.
    node : str
        The home at which it was applied; runs start there.
    position : int
        Number of the last event before it was applied, or resumed: later ones count.
    due_at : float or None
        When a schedule fires next.
    pending : Happening or None
        What starts it as soon as its pipeline's run before and the cooldown have ended.
    waiting : int
        So many happenings are pending as one.
    run_id, started_at, event_time
        The last start: its run, when, and where it stands in event time.
    starts, coalesced, passed : int
        Starts; happenings that shared another's start; those that started nothing.
    outcome, outcome_at
        Why it started nothing last, and when.
    streak : int
        Starts in a row that its own run seems to have caused.
    seen : JSON
        For ``file``: what it looked like; for ``webhook``: by what its calls are known when they come
        again, and until when.
    """

    id: str
    project: str
    pipeline: str
    event: str
    match: dict[str, str]
    cooldown_s: float | None = None
    principal: str = ""
    principal_id: str | None = None
    node: str = ""
    position: int = 0
    due_at: float | None = None
    pending: Happening | None = None
    waiting: int = 0
    run_id: str | None = None
    started_at: float | None = None
    event_time: float | None = None
    starts: int = 0
    coalesced: int = 0
    passed: int = 0
    outcome: str = ""
    outcome_at: float | None = None
    streak: int = 0
    seen: Json = None
    created_at: float = 0.0

    def __str__(self) -> str:
        return str(Trigger(self.event, self.match))


class Pipeline(msgspec.Struct):
    """An applied pipeline.

    Attributes
    ----------
    principal, applied_at
        Who applied it last, and when.
    snapshot : str
        Digest of its code.
    paused_at, paused_by
        Triggers start nothing since then; None: they do.
    next_at : float or None
        When the first of its schedules fires.
    last : Run or None
        Its newest run, whoever started it.
    why : str
        Why it started nothing last.
    """

    name: str
    project: str
    principal: str
    applied_at: float
    snapshot: str = ""
    entry: str = ""
    folder: str = ""
    triggers: list[Standing] = []
    paused_at: float | None = None
    paused_by: str = ""
    next_at: float | None = None
    last: Run | None = None
    why: str = ""


class ListPipelines(Command):
    """Applied pipelines, by name; `page` is the name of the last one before."""

    limit: Count = 100
    page: str = ""


class GetPipeline(Command):
    """One applied pipeline with its triggers."""

    name: str


class StartPipeline(Command):
    """Start an applied pipeline from its snapshot, now, in the name of who asks; a pause does not keep it."""

    name: str


class PausePipeline(Command):
    """Let no trigger start a pipeline; what happens meanwhile is passed over."""

    name: str


class ResumePipeline(Command):
    """Let triggers start a pipeline again, from now on."""

    name: str


class RemovePipeline(Command):
    """Forget that a pipeline was applied, with its triggers; its runs stay."""

    name: str


class ReceiveHook(Command):
    """Somebody has called a hook; the server asks, for whoever called is nobody that the owner knows.

    Attributes
    ----------
    pipeline, name : str
        Which hook.
    headers : dict of str to str
        Those that a signature is in, with names in small letters.
    body : bytes
        As it came; it is kept as text and never executed.
    media_type : str
        What the sender said of it.
    """

    pipeline: str
    name: str
    headers: dict[str, str]
    body: bytes
    media_type: str = ""


class Received(msgspec.Struct, frozen=True):
    """What became of a call.

    Attributes
    ----------
    accepted : bool
        False: there is no such hook, or it is not signed with the hook's secret.
    repeated : bool
        The same has come before, so it starts nothing more.
    """

    accepted: bool
    repeated: bool = False


ANSWERS: dict[type[Command], Any] = {
    ListPipelines: list[Pipeline],
    GetPipeline: Pipeline,
    StartPipeline: Run,
    PausePipeline: Pipeline,
    ResumePipeline: Pipeline,
    RemovePipeline: Pipeline,
    ReceiveHook: Received,
}
