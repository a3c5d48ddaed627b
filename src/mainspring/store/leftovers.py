"""Leftovers: blobs and files of tables that the record does not name."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

import msgspec

from mainspring.domain.home import Home
from mainspring.store.backups import open_old
from mainspring.store.blobs import open_blobs
from mainspring.store.holdings import list_holdings
from mainspring.store.marks import Moment, mark_blobs, mark_files, read_moment
from mainspring.store.schema import read_revision
from mainspring.store.tablefiles import TableFile, TableFiles, open_files
from mainspring.store.tables import HEAD
from mainspring.store.words import Connection, text


class Leftovers(msgspec.Struct, frozen=True):
    """What may go.

    Attributes
    ----------
    moment : Moment
        When the record was marked.
    before : float
        Only what was written before that time is among them, in seconds since 1970.
    blobs : dict of str to int
        Digest -> length.
    files : dict of str to int
        ``table/file`` -> length.
    kept_blobs, kept_files : int
        How many stay.
    wrong : dict of str to int
        Digest -> true length, where the record counts another one.
    """

    moment: Moment
    before: float
    blobs: dict[str, int]
    files: dict[str, int]
    kept_blobs: int
    kept_files: int
    wrong: dict[str, int]


def find_leftovers(home: Home, grace_s: float) -> Leftovers:
    """Mark the record of a home and return what it does not name.

    Parameters
    ----------
    home : Home
        Its owner may run.
    grace_s : float
        What was written less than so many seconds ago stays: its writer may not have told the
        record yet.

    Raises
    ------
    NotFound
        SERVER-007 when the home has no record.

    Notes
    -----
    Guarantees: errs on the side of keeping. Journals that are not swept yet count as the record
    does, and so do commits of a table that the record does not know yet.
    """
    before = time.time() - grace_s
    store = open_blobs(home)
    ages = {each.digest: each for each in store.list()}
    tables = open_files(home)
    present = list(tables.list())
    files = {each.name: each.size_bytes for each in present if each.holds_rows and each.modified_at < before}
    with open_old(home) as connection:
        moment = read_moment(connection)
        used = mark_files(connection) | _list_unrecorded(tables, present, connection)
        held = list_holdings(connection) if read_revision(connection) == HEAD else {}
        named = mark_blobs(connection, ages, store.stream, _read_journals(home))
    wrong = {
        digest: ages[digest].size_bytes for digest in held.keys() & ages if ages[digest].size_bytes != held[digest]
    }
    blobs = {each.digest: each.size_bytes for each in ages.values() if each.modified_at < before}
    unused = {name: length for name, length in files.items() if name not in used}
    unnamed = {digest: length for digest, length in blobs.items() if digest not in named}
    return Leftovers(moment, before, unnamed, unused, len(ages) - len(unnamed), len(files) - len(unused), wrong)


def _read_journals(home: Home) -> Iterator[str]:
    for path in home.journals.rglob("*"):
        if path.is_file():
            yield path.read_bytes().decode("utf-8", "replace")


def _list_unrecorded(tables: TableFiles, present: Iterable[TableFile], connection: Connection) -> set[str]:
    """Return the files of commits that come after those that the record knows."""
    known: dict[str, int] = {}
    for (manifest,) in connection.execute(text("SELECT manifest FROM versions WHERE kind = 'dataset'")):
        found = json.loads(manifest) if manifest else None
        if isinstance(found, dict) and "delta_version" in found:
            table = found["table"]
            known[table] = max(known.get(table, -1), found["delta_version"])
    named: set[str] = set()
    for each in present:
        table, log, commit = each.name.rpartition("/_delta_log/")
        number = commit.removesuffix(".json")
        if log and number.isdigit() and int(number) > known.get(table, -1):
            named.update(f"{table}/{name}" for name in _read_added(tables.read(each.name)))
    return named


def _read_added(commit: bytes) -> Iterator[str]:
    for line in commit.splitlines():
        action = json.loads(line)
        if "add" in action:
            yield unquote(action["add"]["path"])
