"""OpenLineage: runs with the versions that they read and wrote, as RunEvents over HTTP.

Source: https://openlineage.io/spec/2-0-2/OpenLineage.json.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from mainspring.domain.errors import NotFound
from mainspring.domain.messages import GetRun, ListReads
from mainspring.domain.records import Event, Run
from mainspring.domain.sinks import Answered, Delivery
from mainspring.security.fetch import check_literal, split_url
from mainspring.sinks.kind import Ask, read_timeout_s
from mainspring.sinks.posting import post, write_json, write_time

_PATH = "/api/v1/lineage"
_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/"
_FACETS = "https://openlineage.io/spec/facets"
_PRODUCER = "urn:mainspring"
_STATES = {
    "run.started": "START",
    "run.succeeded": "COMPLETE",
    "run.failed": "FAIL",
    "run.cancelled": "ABORT",
    "data": "RUNNING",
    "model": "RUNNING",
}
_MOST_LEVELS = 64


class OpenlineageKind:
    """Tells a collector such as Marquez about the topmost runs of a project and the versions around them.

    Notes
    -----
    A run is a job's run; steps below it belong to it. What it wrote is told when it is written,
    what it read when it ends. Versions that no run wrote are told as DatasetEvents.
    """

    events: tuple[str, ...] = (*_STATES,)
    options: tuple[str, ...] = ("namespace",)

    def check(self, url: str, *, secret: bool, options: Mapping[str, str]) -> None:
        """Refuse what is no address of HTTP, and a key in clear."""
        del options
        check_literal(split_url(url, ("https",) if secret else ("http", "https")))

    def send(self, delivery: Delivery, event: Event, now: float, ask: Ask) -> Answered:
        """Send one event; one that says nothing about lineage is passed over."""
        del now
        space = delivery.options.get("namespace", f"mainspring://{delivery.project}")
        test = {"dataset": {"namespace": space, "name": "mainspring.test"}}
        told = _frame("DatasetEvent", event, test) if delivery.test else make_event(event, space, ask)
        if told is None:
            return Answered("accepted", "nothing to tell")
        headers = {"Authorization": f"Bearer {delivery.secret}"} if delivery.secret else {}
        url = delivery.url.rstrip("/").removesuffix(_PATH) + _PATH
        return post(url, write_json(told), headers, read_timeout_s(delivery.options))


def make_event(event: Event, space: str, ask: Ask) -> dict[str, Any] | None:
    """Return what OpenLineage is told about an event; None: nothing.

    Parameters
    ----------
    event : Event
        Of the record.
    space : str
        Namespace of jobs and datasets.
    ask : callable
        Reads the run and what it read.
    """
    state = _STATES.get(event.kind)
    if state is None:
        return None
    wrote = [_name_written(event, space)] if event.kind in {"data", "model"} else []
    run_id = event.body.get("run_id") if wrote else event.subject
    if not run_id:
        return _frame("DatasetEvent", event, {"dataset": wrote[0]})
    try:
        run = _find_top(run_id, ask)
        if not wrote and run.id != event.subject:
            return None  # the end of a step, of which the run above will tell
        reads = ask(ListReads(run_id=run.id)) if state in {"COMPLETE", "FAIL", "ABORT"} else []
    except NotFound:  # deleted before it was told
        return _frame("DatasetEvent", event, {"dataset": wrote[0]}) if wrote else None
    facets: dict[str, Any] = {}
    if state == "FAIL":
        message = {"message": str(event.body.get("what", "")), "programmingLanguage": "python"}
        facets["errorMessage"] = _facet("1-0-1/ErrorMessageRunFacet", message)
    kind = {"processingType": "BATCH", "integration": "MAINSPRING", "jobType": run.kind.upper()}
    body = {
        "eventType": state,
        "run": {"runId": str(uuid.UUID(run.id)), "facets": facets},
        "job": {
            "namespace": space,
            "name": f"{run.kind}.{run.name}",
            "facets": {"jobType": _facet("2-0-3/JobTypeJobFacet", kind)},
        },
        "inputs": [_name_version(space, "dataset", each.name, str(each.number)) for each in reads],
        "outputs": wrote,
    }
    return _frame("RunEvent", event, body)


def _find_top(run_id: str, ask: Ask) -> Run:
    run: Run = ask(GetRun(id=run_id))
    for _ in range(_MOST_LEVELS):
        if run.parent_id is None:
            break
        run = ask(GetRun(id=run.parent_id))
    return run


def _name_written(event: Event, space: str) -> dict[str, Any]:
    kind = "dataset" if event.kind == "data" else "model"
    return _name_version(space, kind, event.body["name"], str(event.body["number"]))


def _name_version(space: str, kind: str, name: str, number: str) -> dict[str, Any]:
    version = _facet("1-0-1/DatasetVersionDatasetFacet", {"datasetVersion": number})
    # The protocol has one noun for whatever is read and written; a model stands in a folder of its own.
    return {"namespace": space, "name": name if kind == "dataset" else f"models/{name}", "facets": {"version": version}}


def _facet(schema: str, fields: dict[str, Any]) -> dict[str, Any]:
    name = schema.partition("/")[2]
    return {"_producer": _PRODUCER, "_schemaURL": f"{_FACETS}/{schema}.json#/$defs/{name}", **fields}


def _frame(schema: str, event: Event, fields: dict[str, Any]) -> dict[str, Any]:
    frame = {"eventTime": write_time(event.time), "producer": _PRODUCER, "schemaURL": f"{_SCHEMA}{schema}"}
    return frame | fields
