"""What the tables of the record are made of: kinds of columns, and how indexes are named."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import TEXT, VARCHAR, BigInteger, Column, Float, Integer, MetaData, String, Text, text
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex
from sqlalchemy.types import TypeDecorator

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


# SQLite orders texts by their bytes and has one kind of integer; PostgreSQL must be told to.
_Text = Text().with_variant(TEXT(collation="C"), "postgresql")
_Id = String(32).with_variant(VARCHAR(32, collation="C"), "postgresql")

Whole = Integer().with_variant(BigInteger(), "postgresql")
"""A whole number of 64 bits."""


def id_column(name: str = "id", **options: Any) -> Column[str]:
    """Make a column of ids of the wire."""
    return Column(name, _Id, **{"nullable": False, **options})


def text_column(name: str, **options: Any) -> Column[str]:
    """Make a column of texts, ordered by their code points."""
    return Column(name, _Text, **{"nullable": False, **options})


def time_column(name: str, **options: Any) -> Column[float]:
    """Make a column of seconds since 1970 UTC that may be empty."""
    return Column(name, Float, **{"nullable": True, **options})


def packed_column(name: str, kind: Any = Any) -> Column[Any]:
    """Make a column of values of a msgspec type that may be empty."""
    return Column(name, Packed(kind), nullable=True)


def only_where(condition: str) -> dict[str, Any]:
    """Return the options of an index of some rows only."""
    return {"sqlite_where": text(condition)}


@compiles(CreateIndex, "postgresql")
def _index_in_postgresql(element: CreateIndex, compiler: Any, **options: Any) -> str:
    # An index that is declared with PostgreSQL's option loads its dialect in every owner: 5 MB, a fifth of the start.
    where = element.element.dialect_kwargs.get("sqlite_where")
    if where is not None:
        element.element.dialect_kwargs["postgresql_where"] = where
    made: str = compiler.visit_create_index(element, **options)
    return made
