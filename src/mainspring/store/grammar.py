"""What SQLAlchemy is told of the record: kinds of columns, functions of our own, and each dialect's words for them.

Imported once a phrase of `mainspring.store.words` is built.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Float, MetaData, Text
from sqlalchemy.dialects.sqlite.dml import OnConflictDoNothing, OnConflictDoUpdate
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator

ENTRY = ("label", "text", "number")
"""What an entry of a packed list is made of."""

_encode = msgspec.json.Encoder().encode

metadata = MetaData(
    naming_convention={"ix": "%(table_name)s_%(column_0_N_name)s", "uq": "%(table_name)s_%(column_0_N_name)s"}
)
"""Every table of the record."""


class Packed(TypeDecorator[Any]):
    """A value of a msgspec type, kept as JSON text.

    Parameters
    ----------
    kind : type
        What the text is decoded to.
    """

    impl = Text
    cache_ok = True

    def __init__(self, kind: Any = Any) -> None:
        super().__init__()
        self.kind = kind
        self._decoder = msgspec.json.Decoder(kind)

    def encode(self, value: Any) -> str:
        """Return the text of a value."""
        return _encode(value).decode()

    def decode(self, text: str) -> Any:
        """Return the value of a text."""
        return self._decoder.decode(text)

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Encode."""
        return None if value is None else self.encode(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """Decode."""
        return None if value is None else self.decode(value)

    def __repr__(self) -> str:
        return "Packed()"


class like_exactly(GenericFunction[bool]):  # noqa: N801 - stands in statements as a function does
    """Whether a text is like a pattern of ``%`` and ``_``, capitals told apart."""

    inherit_cache = True


class text_of(GenericFunction[str]):  # noqa: N801 - stands in statements as a function does
    """The text under a name in a packed mapping of texts; null where there is none."""

    type = Text()
    inherit_cache = True


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


class Unpacked(GenericFunction[Any]):
    """The texts of a JSON list as rows of one column, ``value``."""

    inherit_cache = True


class Entries(GenericFunction[Any]):
    """Lists of a JSON list as rows of three columns."""

    inherit_cache = True


@compiles(OnConflictDoNothing, "postgresql")
@compiles(OnConflictDoUpdate, "postgresql")
def _upsert_in_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    # Written in SQLite's words, so that only who keeps a record in PostgreSQL loads its dialect.
    element.constraint_target = None
    text: str = getattr(compiler, f"visit_{element.__visit_name__}")(element, **options)
    return text


@compiles(Unpacked, "sqlite")
def _unpack_in_sqlite(element: Unpacked, compiler: Any, **options: Any) -> str:
    return f"json_each{compiler.process(element.clause_expr, **options)}"


@compiles(Unpacked, "postgresql")
def _unpack_in_postgresql(element: Unpacked, compiler: Any, **options: Any) -> str:
    return f"json_array_elements_text({compiler.process(element.clauses, **options)}::json) AS unpacked(value)"


@compiles(Entries, "sqlite")
def _unpack_entries_in_sqlite(element: Entries, compiler: Any, **options: Any) -> str:
    columns = ", ".join(f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate(ENTRY))
    given = compiler.process(element.clause_expr, **options)
    return f"(SELECT {columns} FROM json_each{given})"  # noqa: S608 - our own words


@compiles(Entries, "postgresql")
def _unpack_entries_in_postgresql(element: Entries, compiler: Any, **options: Any) -> str:
    label, text, number = (f"value ->> {place}" for place in range(len(ENTRY)))
    columns = f"{label} AS label, {text} AS text, CAST({number} AS double precision) AS number"
    given = compiler.process(element.clauses, **options)
    return f"(SELECT {columns} FROM json_array_elements({given}::json) AS each(value)) AS entries"  # noqa: S608 - our own words


@compiles(text_of, "sqlite")
def _text_in_sqlite(element: text_of, compiler: Any, **options: Any) -> str:
    column, name = (compiler.process(each, **options) for each in element.clauses)
    return f"(SELECT value FROM json_each({column}) WHERE key = {name})"  # noqa: S608 - both are compiled


@compiles(text_of, "postgresql")
def _text_in_postgresql(element: text_of, compiler: Any, **options: Any) -> str:
    column, name = (compiler.process(each, **options) for each in element.clauses)
    return f"(CAST({column} AS json) ->> CAST({name} AS text))"


@compiles(like_exactly, "sqlite")
def _like_in_sqlite(element: like_exactly, compiler: Any, **options: Any) -> str:
    column, pattern = (compiler.process(each, **options) for each in element.clauses)
    # SQLite's LIKE takes no notice of capitals, its GLOB does: the pattern is written anew for it.
    for found, put in (("[", "[[]"), ("*", "[*]"), ("?", "[?]"), ("%", "*"), ("_", "?")):
        pattern = f"replace({pattern}, '{found}', '{put}')"
    return f"({column} GLOB {pattern})"


@compiles(like_exactly, "postgresql")
def _like_in_postgresql(element: like_exactly, compiler: Any, **options: Any) -> str:
    column, pattern = (compiler.process(each, **options) for each in element.clauses)
    return f"({column} LIKE {pattern} ESCAPE '')"


@compiles(CreateIndex, "postgresql")
def _index_in_postgresql(element: CreateIndex, compiler: Any, **options: Any) -> str:
    # An index that is declared with PostgreSQL's option loads its dialect in every owner: 5 MB, a fifth of the start.
    where = element.element.dialect_kwargs.get("sqlite_where")
    if where is not None:
        element.element.dialect_kwargs["postgresql_where"] = where
    made: str = compiler.visit_create_index(element, **options)
    return made
