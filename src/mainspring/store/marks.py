"""Marks: which blobs and files of tables the record names, and so must stay."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any

import msgspec

from mainspring.domain.errors import Invalid, NotFound
from mainspring.store.engine import dialect_of
from mainspring.store.tables import metadata
from mainspring.store.words import Connection, text

LEAVES = frozenset({"arrow", "bytes", "image", "json", "ndarray", "plotly", "png", "text"})
"""Codecs whose bytes name no other blobs."""

_WITHOUT = frozenset(
    {
        "aliases",
        "alembic_version",
        "cache",
        "condemned",
        "edges",
        "follows",
        "holdings",
        "latest",
        "leases",
        "model_metrics",
        "points",
        "provenances",
        "requests",
        "series_keys",
        "usage",
        "uses",
    }
)
"""Tables that name no blob."""

_CHANGING = {
    "runs": "seq > :seq OR ended_at IS NULL OR ended_at > :since",
    "calls": "run_id IN (SELECT id FROM runs WHERE seq > :seq OR ended_at IS NULL OR ended_at > :since)",
    "renewals": "",
    "services": "",
}
"""Tables whose rows change -> which may have changed; in others with a number rows are only added."""

_SLACK_S = 3600.0
"""Clocks of owners and of the database differ by less."""

_NAMED = re.compile(r"(?:codec\W{1,12}(\w{1,40})\W{1,12}digest\W{1,12})?([0-9a-f]{64})")
_INSIDE = re.compile(rb"(?=([0-9a-f]{64}))")


class Moment(msgspec.Struct, frozen=True):
    """When the record was marked.

    Attributes
    ----------
    time : float
        Seconds since 1970, by the record's clock.
    numbers : dict of str to int
        Table -> greatest number of a row.
    """

    time: float
    numbers: dict[str, int]


def read_moment(connection: Connection) -> Moment:
    """Return the present moment of the record."""
    numbers = {
        table: int(connection.execute(text(f'SELECT coalesce(max(seq), 0) FROM "{table}"')).scalar_one())  # noqa: S608
        for table in sorted(dialect_of(connection).list_tables(connection))
        if table in metadata.tables and "seq" in metadata.tables[table].c
    }
    return Moment(dialect_of(connection).now(connection), numbers)


def mark_since(connection: Connection, moment: Moment, wanted: Container[str]) -> set[str]:
    """Return which blobs are named by what was written since a moment.

    Notes
    -----
    Cost: reads the rows that were added since, live runs, and small tables whole.
    """
    marked: set[str] = set()
    for table in sorted(dialect_of(connection).list_tables(connection) - _WITHOUT):
        condition = _CHANGING.get(table, "seq > :seq" if table in moment.numbers else "")
        query = text(f'SELECT * FROM "{table}"' + (f" WHERE {condition}" if condition else ""))  # noqa: S608
        number = moment.numbers.get("runs" if table == "calls" else table, 0)
        given = {"seq": number, "since": moment.time - _SLACK_S}
        values = {name: given[name] for name in ("seq", "since") if f":{name}" in condition}
        for row in connection.execute(query, values):
            for value in _plain(row):
                marked.update(digest for _, digest in _NAMED.findall(value) if digest in wanted)
    return marked


def mark_blobs(
    connection: Connection, present: Container[str], read: Callable[[str], Iterator[bytes]], others: Iterable[str] = ()
) -> set[str]:
    """Return the blobs that the record names, or that a named blob names in its turn.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    present : container of str
        Digests of the blobs that are there; only these are marked.
    read : callable
        Digest -> parts of its bytes; may raise `NotFound` when it is gone.
    others : iterable of str
        Further texts that may name blobs, as journals that are not swept yet.

    Notes
    -----
    Guarantees: errs on the side of keeping. Whatever looks like a digest, in any column of texts of
    any table, counts; so does what looks like one in the bytes of a value that may have parts.
    Cost: reads every row that has texts once, and the bytes of values that may have parts; memory
    for the digests that are there.
    """
    marked: set[str] = set()
    parted: set[str] = set()
    for line, leaf in _texts(connection, others):
        for found in _NAMED.finditer(line):
            codec, digest = found.groups()
            if digest in present:
                marked.add(digest)
                if not leaf and codec not in LEAVES:
                    parted.add(digest)
    unopened = list(parted)
    while unopened:
        for digest in _inside(_whole(read, unopened.pop())):
            if digest in present and digest not in parted:
                parted.add(digest)
                unopened.append(digest)
    return marked | parted


def mark_files(connection: Connection, after: int = 0) -> set[str]:
    """Return the files of tables that versions of datasets name, each as ``table/file``.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    after : int, default 0
        Only versions with a greater number of their row.
    """
    named: set[str] = set()
    query = text("SELECT manifest FROM versions WHERE kind = 'dataset' AND seq > :after")
    for (manifest,) in connection.execute(query, {"after": after}):
        found = json.loads(manifest) if manifest else None
        if isinstance(found, dict) and "table" in found:
            named.update(f"{found['table']}/{name}" for name in found.get("files") or ())
    return named


def count_rows(connection: Connection) -> dict[str, int]:
    """Return table -> number of its rows."""
    return {
        table: int(connection.execute(text(f'SELECT count(*) FROM "{table}"')).scalar_one())  # noqa: S608
        for table in sorted(dialect_of(connection).list_tables(connection))
    }


def _texts(connection: Connection, others: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield every text of the record, and whether what it names has no parts."""
    for table in sorted(dialect_of(connection).list_tables(connection) - _WITHOUT):
        query = text(f'SELECT * FROM "{table}"')  # noqa: S608
        rows = connection.execute(query, execution_options={"yield_per": 500})
        leaf = table in {"versions", "declarations", "files"}  # files of models, of snapshots and of runs
        for row in rows:
            for value in _plain(row):
                yield value, leaf
    for other in others:
        yield other, False


def _plain(row: Iterable[Any]) -> Iterator[str]:
    for value in row:
        if isinstance(value, str) and len(value) >= 64:
            yield value


def _whole(read: Callable[[str], Iterator[bytes]], digest: str) -> Iterator[bytes]:
    try:
        yield from read(digest)
    except (NotFound, Invalid):  # gone, or damaged: what it names cannot be told, and nobody can read it either
        return


def _inside(parts: Iterator[bytes]) -> Iterator[str]:
    tail = b""
    for part in parts:
        window = tail + part
        for found in _INSIDE.finditer(window):
            yield found[1].decode()
        tail = window[-63:]
