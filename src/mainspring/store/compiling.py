"""Statements compiled by SQLAlchemy, and what is left of them for owners that do without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Boolean
from sqlalchemy.sql.dml import Insert

from mainspring.store.engine import find_dialect
from mainspring.store.grammar import Packed
from mainspring.store.statements import Compiled
from mainspring.store.words import build, metadata

Places = list[tuple[int, Any]]
"""Place in a row -> its kind: ``bool`` or a `Packed`."""


def compile_core(core: Any, columns: Sequence[str], dialect: str) -> tuple[Any, Places]:
    """Compile a statement for a dialect; return it and what must be done to the rows of a select."""
    inserts = isinstance(core, Insert)
    statement = core.inline() if inserts else core
    compiled = statement.compile(
        dialect=find_dialect(dialect).grammar, column_keys=list(columns) or None if inserts else None
    )
    kinds = [each.type for each in getattr(core, "selected_columns", ())]
    return compiled, [
        (place, kind if isinstance(kind, Packed) else bool)
        for place, kind in enumerate(kinds)
        if isinstance(kind, Packed | Boolean)
    ]


def list_encoders(compiled: Any) -> dict[str, Callable[[Any], str]]:
    """Return the parameters that are packed, each with what packs it."""
    return {name: bind.type.encode for name, bind in compiled.binds.items() if isinstance(bind.type, Packed)}


def list_fixed(compiled: Any) -> dict[str, Any]:
    """Return the parameters that never vary, by their names in the text."""
    return {str(compiled.bind_names[bind]): bind.value for bind in compiled.bind_names if not bind.required}


def describe(compiled: Any, places: Places) -> Compiled | None:
    """Return all that is needed to run a compiled statement; None when a kind or value is no column's or plain."""
    fixed = list_fixed(compiled)
    kinds = {place: "bool" if kind is bool else _find_column(kind) for place, kind in places}
    if not all(kinds.values()) or not all(isinstance(each, str | int | float | None) for each in fixed.values()):
        return None
    names = tuple(getattr(compiled, "positiontup", None) or ())
    return Compiled(str(compiled), names, fixed, tuple(map(str, list_encoders(compiled))), kinds)


def _find_column(kind: Packed) -> str:
    """Return the first column that is decoded the same."""
    for table in metadata.tables.values():
        for column in build(table).c:
            if isinstance(column.type, Packed) and column.type.kind == kind.kind:
                return f"{table.name}.{column.name}"
    return ""
