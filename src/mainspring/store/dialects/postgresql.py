"""The record in a PostgreSQL database that several owners may share."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, RootTransaction, create_engine, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from mainspring.domain.errors import Denied, Invalid, MainspringError, NotFound, Unavailable
from mainspring.domain.home import Home
from mainspring.store.places import read_address
from mainspring.store.tables import HEAD

try:
    from pg8000.exceptions import Error as DriverError

    from mainspring.store.dialects.addresses import connect
    from mainspring.store.dialects.exports import set_sequences, write_export
    from mainspring.store.dialects.pipeline import PipelinedConnection, Rows, order_values
except ModuleNotFoundError as missing:
    raise Invalid(
        "HOME-034", f"the record is in PostgreSQL, and {missing.name} is not installed", module=missing.name
    ) from None

WRITER = 0x6D61_696E_7370
"""The advisory lock of the one turn that writes."""

# Of a session: what an owner that is stopped in the middle of a turn, or cut off, may hold up.
_SESSION = (
    "SET lock_timeout = 10000; SET idle_in_transaction_session_timeout = 5000;"
    " SET statement_timeout = 60000; SET timezone = 'UTC'; SET default_transaction_isolation = 'read committed';"
    " SET jit = off"
)
_BEGIN = f"BEGIN; SELECT pg_advisory_xact_lock({WRITER})"
# A newer release may have changed the tables while this owner lives: then the turn fails where it begins.
_CHECK = f"PREPARE is_current AS SELECT 1 / (max(version_num) = '{HEAD}')::int FROM alembic_version"  # noqa: S608 - ours
_CHECKED = f"{_BEGIN}; EXECUTE is_current"
_SAVEPOINT, _RELEASE = "SAVEPOINT request", "RELEASE request"

_FEW = 50
"""Sets of values that are kept for the next trip."""

_CHANNEL = "mainspring"
_SELF = secrets.token_hex(8)  # an owner has told itself already
_TOPICS = 100
"""So many topics fit into one notice of 8,000 bytes."""

_GONE = "HOME-030"
# SQLSTATE, or the two characters of its class; the longer one counts.
_FAULTS: dict[str, tuple[type[MainspringError], str]] = {
    "08": (Unavailable, _GONE),
    "57P": (Unavailable, _GONE),
    "25P03": (Unavailable, _GONE),
    "22012": (Unavailable, "HOME-003"),
    "53": (Unavailable, _GONE),
    "53100": (Unavailable, "HOME-006"),
    "25006": (Unavailable, "HOME-007"),
    "28": (Denied, "HOME-031"),
    "42501": (Denied, "HOME-031"),
    "3D000": (NotFound, "HOME-032"),
    "55P03": (Unavailable, "HOME-019"),
    "40": (Unavailable, "HOME-019"),
    "57014": (Unavailable, "HOME-019"),
    "22001": (Invalid, "HOME-020"),
    "22003": (Invalid, "HOME-020"),
    "22021": (Invalid, "HOME-020"),
    "22P05": (Invalid, "HOME-020"),
    "54": (Invalid, "HOME-020"),
    "XX001": (Unavailable, "HOME-016"),
    "XX002": (Unavailable, "HOME-016"),
}


_STALE = """
SELECT pg_class.relname FROM pg_stat_user_tables JOIN pg_class ON pg_class.oid = relid
WHERE schemaname = current_schema() AND pg_has_role(relowner, 'USAGE')
AND n_mod_since_analyze > 1000 + 0.2 * n_live_tup ORDER BY n_mod_since_analyze DESC LIMIT 1
"""
"""The table whose statistics are oldest, of those that are old."""


class PostgresqlDialect:
    """Implements `mainspring.store.dialects.Dialect` over pg8000.

    Notes
    -----
    Guarantees: a turn that may write holds an advisory lock from its first statement to its
    commit, so use cases of all owners come one after the other, as on SQLite; a turn that only
    reads sees one state of the record and waits for nobody. A durable commit that returned
    is flushed by the server. An owner that stops in the middle of a turn loses it after 5 s.
    """

    grammar = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
    faults = (DBAPIError, DriverError)
    shared = True

    def open(self, home: Home) -> Engine:
        """Return an engine on the database that the home names."""
        engine = create_engine(
            "postgresql+pg8000://",
            creator=lambda: connect(read_address(home)),
            poolclass=NullPool,
            paramstyle="numeric_dollar",
            hide_parameters=True,
        )

        @event.listens_for(engine, "connect")
        def _prepare(connection: DBAPIConnection, _: Any) -> None:
            assert isinstance(connection, PipelinedConnection)
            connection.execute_simple(_SESSION)

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            driver(connection).send_later(connection.info.pop("begin", _BEGIN))

        return engine

    def begin(self, connection: Connection, *, writes: bool, durable: bool) -> RootTransaction:
        """Begin, in the same trip as the first statement."""
        raw = driver(connection)
        if writes and not raw.is_checking:  # to plan it anew costs more than all the rest of a turn's beginning
            raw.execute_simple(_CHECK)
            raw.is_checking = True
        if not writes:
            connection.info["begin"] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        elif not durable:
            connection.info["begin"] = f"{_CHECKED}; SET LOCAL synchronous_commit = off"
        else:
            connection.info["begin"] = _CHECKED
        raw.changes = 0
        return connection.begin()

    @contextmanager
    def savepoint(self, connection: Connection) -> Iterator[None]:
        """Undo what is done inside when it raises; without statements inside, nothing is sent."""
        raw = driver(connection)
        raw.send_later(_SAVEPOINT)
        try:
            yield
            if raw.has_kept:
                raw.settle()  # its faults are of this part
        except BaseException:
            if not raw.take_back(_SAVEPOINT):
                raw.send_later("ROLLBACK TO request; RELEASE request")
            raise
        if not raw.take_back(_SAVEPOINT):
            raw.send_later(_RELEASE)

    def has_written(self, connection: Connection) -> bool:
        """Tell whether the present transaction changed a row."""
        raw = driver(connection)
        return raw.changes > 0 or raw.has_kept

    def publish(self, connection: Connection, topics: set[str]) -> None:
        """Tell the other owners, in the same trip as the commit."""
        raw = driver(connection)
        names = sorted(topics)
        for start in range(0, len(names), _TOPICS):
            told = "\n".join(names[start : start + _TOPICS]).replace("'", "''")
            raw.send_later(f"SELECT pg_notify('{_CHANNEL}', '{_SELF}\n{told}')")

    def listen(self, home: Home) -> PostgresqlListener:
        """Hear the other owners."""
        try:
            return PostgresqlListener(home)
        except DriverError as fault:
            raise self.explain_fault(fault, home.place) or fault from fault

    def undo(self, connection: Connection, transaction: RootTransaction) -> None:
        """Roll back; a connection that cannot be used any more is left."""
        try:
            transaction.rollback()
        except self.faults:
            connection.invalidate()
            transaction.close()
        if not connection.invalidated and driver(connection).lost:
            connection.invalidate()

    def run(self, connection: Connection, text: str, names: Sequence[str], values: Mapping[str, Any]) -> Rows:
        """Run a statement, prepared at its first use."""
        return driver(connection).perform(text, order_values(names, values))

    def run_later(self, connection: Connection, text: str, names: Sequence[str], values: Mapping[str, Any]) -> None:
        """Run a statement along with the next one."""
        driver(connection).perform_later(text, order_values(names, values))

    def run_many(
        self, connection: Connection, text: str, names: Sequence[str], values: Sequence[Mapping[str, Any]]
    ) -> None:
        """Run a statement for each set of values: a few along with the next statement, many in few trips."""
        rows = [order_values(names, each) for each in values]
        if len(rows) <= _FEW:
            for row in rows:
                driver(connection).perform_later(text, row)
        else:
            driver(connection).perform_many(text, rows)

    def now(self, connection: Connection) -> float:
        """Return the server's time: the one clock that owners on several machines share."""
        row = driver(connection).perform("SELECT extract(epoch FROM clock_timestamp())::float8", ()).fetchone()
        assert row is not None
        return float(row[0])

    def list_tables(self, connection: Connection) -> set[str]:
        """Return the names of the tables of the schema that is used."""
        found = driver(connection).perform(
            "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = current_schema()", ()
        )
        return {str(name) for (name,) in found}

    def size_bytes(self, connection: Connection, home: Home) -> int:  # noqa: ARG002
        """Return the size of the database."""
        row = driver(connection).perform("SELECT pg_database_size(current_database())", ()).fetchone()
        assert row is not None
        return int(row[0])

    def back_up(self, connection: Connection, home: Home, stem: Path) -> Path:  # noqa: ARG002
        """Write every row into one file; what follows in the transaction may take its time."""
        self.take_time(connection)
        copy = stem.with_name(f"{stem.name}.zip")
        return write_export(driver(connection), sorted(self.list_tables(connection)), copy)

    def take_time(self, connection: Connection) -> None:
        """Lift the limits that keep an owner which is stopped from holding others up."""
        driver(connection).send_later(
            "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
        )

    def set_sequences(self, connection: Connection, table: str) -> None:
        """Set the sequences behind the columns that number rows."""
        set_sequences(driver(connection), table)

    def optimize(self, connection: Connection) -> None:
        """Look at the table that has changed most since anybody looked, if this user may; the server does it late."""
        row = driver(connection).perform(_STALE, ()).fetchone()
        if row is not None:
            driver(connection).execute_simple(f'ANALYZE "{row[0]}"')

    def explain_fault(self, fault: Exception, place: str) -> MainspringError | None:
        """Name the cause.

        Returns
        -------
        MainspringError or None
            HOME-030 for a database that cannot be reached, HOME-031 for one that refuses, HOME-032
            for one that is missing; HOME-006, HOME-007, HOME-016, HOME-019 as for a file;
            HOME-020 for a text with the character NUL or too long for its place, and a number beyond
            64 bits; HOME-003 when a newer release has migrated it.
        """
        cause = fault.orig if isinstance(fault, DBAPIError) else fault
        facts = cause.args[0] if cause is not None and cause.args else None
        if not isinstance(facts, dict):
            return Unavailable(_GONE, f"{place}: {cause or fault}", record=place)
        state = facts.get("C", "")
        told = facts.get("M", state)
        if state == "22012":
            told = f"its schema is not {HEAD} any more; a newer release has migrated it"
        for length in (5, 3, 2):
            if state[:length] in _FAULTS:
                kind, code = _FAULTS[state[:length]]
                if kind is Invalid:  # of whoever asks, who need not know where the record is
                    return Invalid(code, str(told))
                fix = f"createdb {place.partition('?')[0].rpartition('/')[2]}" if code == "HOME-032" else ""
                return kind(code, f"{place}: {told}", fix=fix, record=place)
        return None


class PostgresqlListener:
    """Implements `mainspring.store.dialects.Listener` by LISTEN on a connection of its own."""

    def __init__(self, home: Home) -> None:
        self._connection = connect(read_address(home))
        self._connection.execute_simple(f"LISTEN {_CHANNEL}")

    def fileno(self) -> int:
        """Return the handle of the socket."""
        return self._connection.fileno()

    def take(self) -> set[str]:
        """Return what was told since."""
        self._connection.execute_simple("")
        heard, told = set(), self._connection.notifications
        while told:
            sender, *topics = told.popleft()[2].split("\n")
            if sender != _SELF:
                heard.update(topics)
        return heard

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def driver(connection: Connection) -> PipelinedConnection:
    """Return the connection below SQLAlchemy."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, PipelinedConnection)
    return raw
