"""The job ``check``: what happened to a service since the check before, and whether to renew its model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.domain.errors import Invalid
from mainspring.domain.messages import GetVersion
from mainspring.domain.records import Version
from mainspring.monitoring.check import Outcome, Settings, State, check
from mainspring.sdk.datasets import Dataset
from mainspring.worker.jobs.collect import collect
from mainspring.worker.jobs.observations import (
    find_reference,
    list_attempts,
    list_watched,
    read_labels,
    read_requests,
    require_two_classes,
)

if TYPE_CHECKING:
    from mainspring.sdk.client import Client


def run(arguments: dict[str, Any], client: Client) -> dict[str, Any]:
    """Check a service up to an event time.

    Parameters
    ----------
    arguments : dict
        ``service``; ``until``, event time in seconds; ``model``, pinned reference of the live
        one; ``monitor``, the body of a `Monitor`; ``state``, what the check before returned, or
        None; optionally ``cooldown_s`` of the trigger that renewals start by.
    client : Client
        Of the home.

    Returns
    -------
    dict
        ``alarms``, ``performance``, ``decision`` and ``state``.

    Raises
    ------
    Invalid
        MON-001 to MON-007 for what the monitor, the labels or the reference lack.

    Notes
    -----
    Guarantees: rows whose event time is after `until` change nothing, and the same arguments over
    the same rows give the same bytes.
    """
    if arguments["model"] is None:
        raise Invalid("MON-007", f"service {arguments['service']} has no live model to compare with")
    settings = _read_settings(arguments)
    until = float(arguments["until"])
    kept = arguments["state"] or {}
    state = msgspec.convert(kept.get("check", {}), State)
    model: Version = client.ask(GetVersion(kind="model", reference=arguments["model"]))
    captured = collect({"service": arguments["service"]}, client)["dataset"]
    watched = list_watched(model, settings)
    reference, place = find_reference(model, watched, settings, kept.get("reference"), client)
    if captured is None:
        requests = None
    else:
        requests = read_requests(Dataset(captured), watched, settings, _find_start(state, settings), until)
    if requests is None or not len(requests.times):
        return _answer(arguments["service"], None, state, place)
    labels = read_labels(settings, until)
    if labels is not None and requests.probabilities is not None:
        require_two_classes(labels, settings)
    outcome = check(
        reference,
        requests,
        labels,
        state,
        settings,
        model=model.reference,
        until=until,
        attempts=list_attempts(client, arguments["service"], until),
    )
    return _answer(arguments["service"], outcome, outcome.state, place)


def _read_settings(arguments: dict[str, Any]) -> Settings:
    body = {name: value for name, value in arguments["monitor"].items() if value is not None}
    policy = {**body.get("policy", {})}
    if arguments.get("cooldown_s") is not None:
        policy["cooldown_s"] = float(arguments["cooldown_s"])
    return msgspec.convert({**body, "policy": policy}, Settings)


def _find_start(state: State, settings: Settings) -> float | None:
    """Return the event time from which rows are needed again; None: from the first."""
    if state.until is None:
        return None
    starts = [state.until]
    if state.drift.next_block is not None:
        # A block that had not ended, or whose first rows lie before the last check, is counted whole.
        starts.append(state.drift.next_block * settings.block_s - 1e-6)
    if settings.labels is not None:
        if state.labelled_until is None:
            return None
        starts.append(state.labelled_until)
    return min(starts)


def _answer(service: str, outcome: Outcome | None, state: State, place: dict[str, str]) -> dict[str, Any]:
    kept = {"check": state, "reference": place}
    if outcome is None:
        cause = f"nothing was asked of {service} since the last check"
        decision: Any = {"renew": False, "cause": cause, "evidence": {}}
        body: dict[str, Any] = {"alarms": [], "performance": {}, "decision": decision, "state": kept}
    else:
        body = {
            "alarms": outcome.alarms,
            "performance": outcome.performance,
            "decision": outcome.decision,
            "state": kept,
        }
    details: dict[str, Any] = msgspec.to_builtins(body)
    return details
