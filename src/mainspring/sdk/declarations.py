"""Apply: hand inert declarations, with the code they need, to the owner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from mainspring.domain.errors import Invalid
from mainspring.domain.messages import Apply, Diff
from mainspring.domain.records import Declaration
from mainspring.domain.units import parse_duration
from mainspring.pipelines.calls import list_modules
from mainspring.pipelines.snapshots import take_snapshot
from mainspring.sdk.blobs import store_plainly
from mainspring.sdk.client import Client, get_client

EVENTS = ("alarm",)
POLICIES = ("regret",)


class Declared(Protocol):
    """What `apply` takes."""

    def declaration(self) -> Declaration:
        """Return the inert form that is recorded."""
        ...


class On:
    """A trigger by an event.

    Parameters
    ----------
    event : str
        ``alarm``: the monitor of a service raised an alarm, or its policy asks for a renewal.
    cooldown : str, optional
        At least this long, in event time, between two starts; None means no limit.
    policy : str
        ``regret``: starts only when the monitor's policy expects the renewal to pay.
    **match : str
        What the event must say: ``service="delays"``.

    Raises
    ------
    Invalid
        RENEW-004 when there is no such event or policy, or when the match is not by service
        alone; RUN-003 when the cooldown is no duration.
    """

    def __init__(self, event: str, *, cooldown: str | None = None, policy: str = "regret", **match: str) -> None:
        if event not in EVENTS:
            raise Invalid("RENEW-004", f"no trigger waits for {event!r}", fix=f"use one of {', '.join(EVENTS)}")
        if "service" not in match:
            raise Invalid("RENEW-004", f"the trigger on {event!r} names no service", fix='add service="NAME"')
        if policy not in POLICIES or len(match) > 1:
            wrong = f"policy={policy!r}" if policy not in POLICIES else ", ".join(sorted({*match} - {"service"}))
            raise Invalid("RENEW-004", f"the trigger on {event!r} knows no {wrong}", name=match["service"])
        self.event = event
        self.cooldown_s = None if cooldown is None else parse_duration(cooldown)
        self.policy = policy
        self.match = match

    def body(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"event": self.event, "cooldown_s": self.cooldown_s, "policy": self.policy, "match": self.match}


def apply(*declared: Declared, dry_run: bool = False) -> Diff:
    """Put declarations under the owner's care.

    Parameters
    ----------
    *declared : Gate or Pipeline
        What to apply. A pipeline brings a snapshot of its code, so that a trigger can start it
        when this process and its files are gone.
    dry_run : bool
        Only tell what would change.

    Returns
    -------
    Diff
        One line for each declaration: ``+`` new, ``~`` changed, ``=`` as it was.

    Raises
    ------
    Invalid
        RENEW-002 when a pipeline stands in no file.

    Notes
    -----
    Guarantees: idempotent; all or nothing.
    """
    client = get_client()
    declarations = [_complete(each, client) for each in declared]
    diff: Diff = client.ask(Apply(declarations=declarations, dry_run=dry_run))
    return diff


def _complete(declared: Declared, client: Client) -> Declaration:
    declaration = declared.declaration()
    if declaration.kind != "pipeline":
        return declaration
    function: Callable[..., Any] = declared.function  # type: ignore[attr-defined]
    snapshot = take_snapshot(function, store_plainly(client.blobs), preload=list_modules(function))
    return Declaration(
        "pipeline",
        declaration.name,
        {**declaration.body, "snapshot": msgspec.to_builtins(snapshot), "folder": str(Path.cwd())},
    )
