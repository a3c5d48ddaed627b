"""Job ``pipeline``: run the entry of a snapshot, as a trigger asks."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import msgspec

from mainspring.domain.records import Snapshot
from mainspring.pipelines.snapshots import lay_out
from mainspring.sdk.client import Client


def run_pipeline(arguments: dict[str, Any], client: Client) -> dict[str, Any]:
    """Import the snapshot's module and call its pipeline without arguments.

    Parameters
    ----------
    arguments : dict
        ``{"snapshot": ...}`` as `apply` recorded it.
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
    pipeline.function()
    return {"entry": snapshot.entry}
