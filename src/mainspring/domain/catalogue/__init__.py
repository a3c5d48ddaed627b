"""The catalogue of errors, as data: one module for each area, one entry for each code."""

from __future__ import annotations

from mainspring.domain.catalogue import (
    access,
    api,
    blobs,
    cli,
    data,
    environments,
    experiments,
    files,
    home,
    imports,
    keeping,
    models,
    monitoring,
    pools,
    predictions,
    promotion,
    quotas,
    renewals,
    runs,
    scheduling,
    server,
    serving,
    sessions,
    sinks,
    steps,
    studies,
    tracking,
    triggers,
    workers,
)
from mainspring.domain.catalogue.entry import Entry

ENTRIES: dict[str, Entry] = {
    entry.code: entry
    for area in (
        home,
        blobs,
        runs,
        steps,
        tracking,
        experiments,
        workers,
        scheduling,
        pools,
        quotas,
        studies,
        environments,
        files,
        imports,
        data,
        models,
        predictions,
        serving,
        sessions,
        monitoring,
        promotion,
        renewals,
        triggers,
        server,
        keeping,
        cli,
        access,
        api,
        sinks,
    )
    for entry in area.ENTRIES
}


def find_entry(code: str) -> Entry:
    """Return the entry of a code.

    Raises
    ------
    KeyError
        No entry has this code.
    """
    return ENTRIES[code]
