"""The job ``commit``: rows that a client has uploaded become a version of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from mainspring.data.digests import chain_digest, digest_rows
from mainspring.domain.errors import Conflict, Invalid

if TYPE_CHECKING:
    from mainspring.sdk.client import Client
    from mainspring.sdk.commits import Writer


def commit(arguments: dict[str, Any], client: Client) -> dict[str, Any]:
    """Commit rows on top of the version that the client has seen.

    Parameters
    ----------
    arguments : dict
        ``name``, ``parts`` (digests of Parquet), ``after`` (id of the version before, or empty) and
        ``note`` (what the record is told: ``append``, ``digest``, ``details`` ...).
    client : Client
        Of the home.

    Returns
    -------
    dict
        ``version``, a pinned reference.

    Raises
    ------
    Conflict
        DATA-013 when another version came first; nothing is written then.
    Invalid
        DATA-003 when the parts are no Parquet, HOME-014 when the rows are not those of the digest.

    Notes
    -----
    Guarantees: an attempt that was killed after its commit is found again by the next one.
    """
    name, note = arguments["name"], arguments["note"]
    with client.tables.hold(name):
        writer = client.tables.open_writer(name, anew=not note["append"])
        if (writer.head.id if writer.head is not None else "") != arguments["after"]:
            done = writer.find_write(note["details"]["write"])
            if done is None:
                raise Conflict("DATA-013", f"another version of {name} came first", dataset=name)
            return {"version": done.reference}
        rows = _read(client, arguments["parts"])
        _check(writer, rows, note)
        return {"version": writer.write(rows, note).reference}


def _read(client: Client, parts: list[str]) -> pl.DataFrame:
    try:
        return pl.concat([pl.read_parquet(client.blobs.path(part)) for part in parts])
    except pl.exceptions.PolarsError as fault:
        raise Invalid("DATA-003", f"the rows that were sent cannot be read: {fault}") from None


def _check(writer: Writer, rows: pl.DataFrame, note: dict[str, Any]) -> None:
    """Refuse a digest that is not that of the rows: equal digests count as the same version.

    That of sealed columns is made with a key of those who may read them, which a worker has not.
    """
    if note["details"].get("sealed"):
        return
    digest = digest_rows(rows)
    if note["append"]:
        digest = chain_digest(writer.head.digest if writer.head is not None else "", "append", digest)
    if note["digest"] != digest:
        raise Invalid(
            "HOME-014", f"the rows for {writer.name} are not those that were announced", digest=note["digest"]
        )
