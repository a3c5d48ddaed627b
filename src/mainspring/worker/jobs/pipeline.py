"""Job ``pipeline``: run the entry of a snapshot, as a trigger asks."""

from __future__ import annotations

import contextlib
import inspect
import sys
from importlib import import_module
from typing import Any

import msgspec

from mainspring.domain.records import Snapshot
from mainspring.pipelines.snapshots import lay_out
from mainspring.sdk.client import Client

EVENT = "event"
"""The argument by which a pipeline is told what started it."""


def run_pipeline(arguments: dict[str, Any], client: Client) -> dict[str, Any]:
    """Import the snapshot's module and call its pipeline, without arguments but `event`, where it has one.

    Parameters
    ----------
    arguments : dict
        ``{"snapshot": ..., "event": ...}``: as `apply` recorded it, and what started it.
    client : Client
        Connected to the home.

    Returns
    -------
    dict
        ``{"entry": ...}``; what the pipeline made is in the record.
    """
    snapshot = msgspec.convert(arguments["snapshot"], Snapshot)
    folder = lay_out(snapshot, client.home.snapshots, client.blobs)
    sys.path.insert(0, str(folder))
    module_name, _, name = snapshot.entry.partition(":")
    pipeline = getattr(import_module(module_name), name)
    takes_event = "event" in arguments and EVENT in inspect.signature(pipeline.function).parameters
    pipeline.run_body(**{EVENT: read_event(arguments["event"])} if takes_event else {})
    return {"entry": snapshot.entry}


def read_event(event: dict[str, Any]) -> dict[str, Any]:
    """Return what started a pipeline; what a webhook brought as JSON is read, anything else of it stays text.

    Examples
    --------
    >>> call = {"event": "webhook", "body": {"media_type": "application/json", "text": '{"ref": "main"}'}}
    >>> read_event(call)["body"], read_event({"event": "data", "body": None})["body"]
    ({'ref': 'main'}, None)
    """
    body = event["body"]
    if event["event"] != "webhook":
        return event
    read = body["text"]
    if body["media_type"].endswith("json"):
        with contextlib.suppress(msgspec.DecodeError, RecursionError):  # who called sent something else
            read = msgspec.json.decode(body["text"])
    return {**event, "body": read}
