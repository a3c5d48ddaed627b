"""What the tables of the record are made of: kinds of columns, and how indexes are named."""

from __future__ import annotations

from typing import Any

from mainspring.store.words import (
    TEXT,
    VARCHAR,
    BigInteger,
    Column,
    Float,
    Integer,
    Packed,
    String,
    Text,
    metadata,
    text,
)

__all__ = ["Packed", "Whole", "id_column", "metadata", "only_where", "packed_column", "text_column", "time_column"]

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
