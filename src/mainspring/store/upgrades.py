"""Upgrades: what opening the record with this release would change, and whether it can."""

from __future__ import annotations

import msgspec

from mainspring.domain.errors import Conflict, MainspringError, Unavailable
from mainspring.domain.home import Home
from mainspring.store.backups import count_free, may_write, open_old
from mainspring.store.engine import dialect_of
from mainspring.store.restores import hold_home
from mainspring.store.schema import list_missing, open_record, read_revision
from mainspring.store.tables import HEAD

_ROOM = {"sqlite": 3, "postgresql": 1}
"""How often the record must fit on the home's disk: its copy; and in a file, changed tables and their journal."""


class Outlook(msgspec.Struct, frozen=True):
    """What an upgrade would do.

    Attributes
    ----------
    record : str
        Where it is.
    schema, newest : str
        Revision of the record, and of this release.
    changes : list of str
        Tables that would be made, made anew or dropped.
    missing : list of str
        Tables that the record's schema has and the record has not.
    size_bytes, room_bytes, free_bytes : int
        Of the record; wanted on the home's disk for an upgrade; free there.
    can_back_up : bool
        The folder of backups can be written.
    """

    record: str
    schema: str
    newest: str
    changes: list[str]
    missing: list[str]
    size_bytes: int
    room_bytes: int
    free_bytes: int
    can_back_up: bool

    def find_obstacle(self) -> MainspringError | None:
        """Return why this release cannot work with the record; None when it can, upgraded or as it is."""
        if self.schema > self.newest:
            what = f"{self.record} has schema {self.schema}, this release knows up to {self.newest}"
            return Conflict("HOME-003", what)
        if self.missing:
            what = f"{self.record} is marked as schema {self.schema} and has no table {', '.join(self.missing)}"
            return Conflict("SERVER-005", what, missing=self.missing)
        if self.schema == self.newest:
            return None
        if not self.can_back_up:
            return Unavailable("SERVER-006", f"no copy of {self.record} can be made before it")
        if self.free_bytes < self.room_bytes:
            what = f"an upgrade of {self.record} wants {self.room_bytes:,} bytes, {self.free_bytes:,} are free"
            return Unavailable("SERVER-006", what)
        return None


def look_ahead(home: Home) -> Outlook:
    """Tell what an upgrade of the record of a home would do; nothing is changed.

    Raises
    ------
    NotFound
        SERVER-007 when there is no record.
    """
    with open_old(home) as connection:
        revision, size_bytes = read_revision(connection) or "", dialect_of(connection).size_bytes(connection, home)
        dialect = connection.dialect.name
        return Outlook(
            home.place,
            revision,
            HEAD,
            _list_changes(revision, dialect),
            list_missing(connection, revision),
            size_bytes,
            size_bytes * _ROOM[dialect],
            count_free(home.backups),
            may_write(home.backups),
        )


def upgrade_record(home: Home) -> Outlook:
    """Bring the record of a home to this release's schema; a copy is made before.

    Raises
    ------
    MainspringError
        What `Outlook.find_obstacle` returns; SERVER-003 when an owner works there.
    """
    ahead = look_ahead(home)
    obstacle = ahead.find_obstacle()
    if obstacle is not None:
        raise obstacle
    if ahead.schema != ahead.newest:
        with hold_home(home):
            open_record(home).dispose()
    return ahead


def _list_changes(revision: str, dialect: str) -> list[str]:
    if not revision or revision >= HEAD:
        return []
    from mainspring.store.migrations.shapes import read_shape

    old, new = read_shape(revision, dialect), read_shape(HEAD, dialect)
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
