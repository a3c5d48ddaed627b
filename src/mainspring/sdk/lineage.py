"""What the active run has read: the edges that lineage is made of."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from mainspring.domain.messages import GetVersion
from mainspring.domain.records import Version
from mainspring.sdk.client import Client, get_client
from mainspring.sdk.context import ActiveRun, active_run
from mainspring.sdk.exposures import note_source

_reads: WeakKeyDictionary[ActiveRun, dict[str, Version]] = WeakKeyDictionary()


def current_client() -> Client:
    """Return the client of the active run, or that of the current home."""
    active = active_run()
    return active.client if active is not None else get_client()


def find_dataset(reference: str) -> Version:
    """Return the version that a reference names, without reading it.

    Within a run it is recorded what a reference without a number named: the run's result answers
    later calls only while that is so.

    Raises
    ------
    NotFound
        DATA-002 when it names nothing.
    """
    active = active_run()
    follower = active.run.id if active is not None else None
    version: Version = current_client().ask(GetVersion("dataset", reference, follower=follower))
    return version


def record_read(version: Version) -> None:
    """Record that the active run reads a version; outside of runs nothing is recorded."""
    note_source(version.reference)
    active = active_run()
    if active is None:
        return
    seen = _reads.setdefault(active, {})
    if version.id not in seen:
        active.client.ask(GetVersion(kind="dataset", reference=version.reference, run_id=active.run.id))
        seen[version.id] = version


def list_reads() -> list[Version]:
    """Return the dataset versions that the active run has read, in order."""
    active = active_run()
    return list(_reads.get(active, {}).values()) if active is not None else []
