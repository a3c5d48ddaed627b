"""Statements that run often: written in SQLAlchemy, compiled once, run on the connection below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Boolean, Connection, Float, Select, Table, Text, bindparam, cast, column, select
from sqlalchemy.dialects.sqlite import Insert as Upsert
from sqlalchemy.dialects.sqlite.dml import OnConflictDoNothing, OnConflictDoUpdate
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeEngine

from mainspring.store.columns import Packed
from mainspring.store.dialects import Result
from mainspring.store.engine import dialect_of

_encoder = msgspec.json.Encoder()
_ENTRY = ("label", "text", "number")


class Statement:
    """A statement whose text is made once for each dialect.

    Parameters
    ----------
    core : Executable
        A select, insert, update or delete of SQLAlchemy Core, with `bindparam` for what varies and
        no list that could grow.
    columns : sequence of str, default ()
        For an insert: the columns that are given.

    Notes
    -----
    Cost: about 10 us of CPU above SQLite's own, where `Connection.execute` takes 60 us; on
    PostgreSQL one trip, prepared.
    """

    def __init__(self, core: Any, columns: Sequence[str] = ()) -> None:
        self._core = core.inline() if isinstance(core, Insert) else core
        self._columns = columns
        self._forms: dict[str, _Form] = {}
        self._decoders = [
            (place, decode)
            for place, each in enumerate(getattr(core, "selected_columns", ()))
            if (decode := _decoder(each.type)) is not None
        ]

    def run(self, connection: Connection, values: Mapping[str, Any]) -> Result:
        """Run the statement; the result knows how many rows it changed."""
        form = self._form(connection)
        return dialect_of(connection).run(connection, form.text, form.names, form.encode(values))

    def run_later(self, connection: Connection, values: Mapping[str, Any]) -> None:
        """Run the statement, whose answer nobody reads, at once or along with the next one."""
        form = self._form(connection)
        dialect_of(connection).run_later(connection, form.text, form.names, form.encode(values))

    def run_many(self, connection: Connection, values: Sequence[Mapping[str, Any]]) -> None:
        """Run the statement for each set of values."""
        form = self._form(connection)
        dialect_of(connection).run_many(connection, form.text, form.names, [form.encode(each) for each in values])

    def first(self, connection: Connection, **values: Any) -> list[Any] | None:
        """Return the first row of a select; None when there is none."""
        row = self.run(connection, values).fetchone()
        return None if row is None else self._decode(row)

    def all(self, connection: Connection, **values: Any) -> list[Any]:
        """Return every row of a select, each a sequence."""
        rows = self.run(connection, values)
        return [self._decode(row) for row in rows] if self._decoders else [*rows]

    def _form(self, connection: Connection) -> _Form:
        name = connection.dialect.name
        form = self._forms.get(name)
        if form is None:
            form = self._forms[name] = _Form(self._core, self._columns, dialect_of(connection).grammar)
        return form

    def _decode(self, row: Sequence[Any]) -> list[Any]:
        decoded = list(row)
        for place, decode in self._decoders:
            if decoded[place] is not None:
                decoded[place] = decode(decoded[place])
        return decoded


class _Form:
    """The text of a statement for one dialect, and how its values are written."""

    __slots__ = ("_encoders", "_fixed", "names", "text")

    def __init__(self, core: Any, columns: Sequence[str], grammar: Any) -> None:
        compiled = core.compile(dialect=grammar, column_keys=columns or None if isinstance(core, Insert) else None)
        self.text = str(compiled)
        self.names: Sequence[str] = getattr(compiled, "positiontup", None) or ()
        self._fixed = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        self._encoders = {
            name: bind.type.encode for name, bind in compiled.binds.items() if isinstance(bind.type, Packed)
        }

    def encode(self, values: Mapping[str, Any]) -> dict[str, Any]:
        coded = {**self._fixed, **values}
        for name, encode in self._encoders.items():
            if coded[name] is not None:
                coded[name] = encode(coded[name])
        return coded


def add_once(table: Table) -> Upsert:
    """Return an insert that leaves a row of the same key as it is."""
    return Upsert(table).on_conflict_do_nothing()


def add_or_replace(table: Table, *changed: str) -> Upsert:
    """Return an insert that sets these columns of a row of the same primary key."""
    upsert = Upsert(table)
    return upsert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns), set_={name: upsert.excluded[name] for name in changed}
    )


def pack_ids(ids: Sequence[Any]) -> str:
    """Return texts, numbers or entries as the one value that an `unpack_...` makes rows of again."""
    return _encoder.encode(ids).decode()


def unpack_ids(name: str) -> Select[Any]:
    """Return what stands behind ``in`` in a statement whose parameter `name` is a packed list."""
    return select(column("value", Text)).select_from(_Unpacked(bindparam(name, type_=Text)))


def unpack_numbers(name: str) -> Select[Any]:
    """Return what stands behind ``in`` in a statement whose parameter `name` is a packed list of whole numbers."""
    return select(cast(column("value", Text), BigInteger)).select_from(_Unpacked(bindparam(name, type_=Text)))


def unpack_entries(name: str) -> _Entries:
    """Return what stands behind ``from``: a packed list of (label, text, number or None) as rows of these columns."""
    return _Entries(bindparam(name, type_=Text))


class read_clock(GenericFunction[float]):  # noqa: N801 - stands in statements as a function does
    """The time of the database, in seconds since 1970 UTC."""

    type = Float()
    inherit_cache = True


@compiles(read_clock, "sqlite")
def _read_clock_of_sqlite(element: read_clock, compiler: Any, **options: Any) -> str:  # noqa: ARG001
    return "(julianday('now') - 2440587.5) * 86400.0"


@compiles(read_clock, "postgresql")
def _read_clock_of_postgresql(element: read_clock, compiler: Any, **options: Any) -> str:  # noqa: ARG001
    return "extract(epoch FROM clock_timestamp())::float8"


class _Unpacked(GenericFunction[Any]):
    """The texts of a JSON list as rows of one column, ``value``."""

    inherit_cache = True


class _Entries(GenericFunction[Any]):
    """Lists of a JSON list as rows of three columns."""

    inherit_cache = True


@compiles(OnConflictDoNothing, "postgresql")
@compiles(OnConflictDoUpdate, "postgresql")
def _upsert_in_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    # Written in SQLite's words, so that only who keeps a record in PostgreSQL loads its dialect.
    element.constraint_target = None
    text: str = getattr(compiler, f"visit_{element.__visit_name__}")(element, **options)
    return text


@compiles(_Unpacked, "sqlite")
def _unpack_in_sqlite(element: _Unpacked, compiler: Any, **options: Any) -> str:
    return f"json_each{compiler.process(element.clause_expr, **options)}"


@compiles(_Unpacked, "postgresql")
def _unpack_in_postgresql(element: _Unpacked, compiler: Any, **options: Any) -> str:
    return f"json_array_elements_text({compiler.process(element.clauses, **options)}::json) AS unpacked(value)"


@compiles(_Entries, "sqlite")
def _unpack_entries_in_sqlite(element: _Entries, compiler: Any, **options: Any) -> str:
    columns = ", ".join(f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate(_ENTRY))
    given = compiler.process(element.clause_expr, **options)
    return f"(SELECT {columns} FROM json_each{given})"  # noqa: S608 - our own words


@compiles(_Entries, "postgresql")
def _unpack_entries_in_postgresql(element: _Entries, compiler: Any, **options: Any) -> str:
    label, text, number = (f"value ->> {place}" for place in range(len(_ENTRY)))
    columns = f"{label} AS label, {text} AS text, CAST({number} AS double precision) AS number"
    given = compiler.process(element.clauses, **options)
    return f"(SELECT {columns} FROM json_array_elements({given}::json) AS each(value)) AS entries"  # noqa: S608 - our own words


def _decoder(kind: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    if isinstance(kind, Packed):
        return kind.decode
    return bool if isinstance(kind, Boolean) else None
