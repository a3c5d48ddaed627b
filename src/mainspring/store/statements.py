"""Statements that run often: written in SQLAlchemy, compiled once, run on the connection below it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from mainspring.store.dialects import Result
from mainspring.store.engine import dialect_of
from mainspring.store.words import (
    BigInteger,
    Connection,
    Entries,
    Phrase,
    Select,
    Table,
    Text,
    Unpacked,
    Upsert,
    bindparam,
    build,
    cast,
    column,
    find_kind,
    identify,
    read_clock,
    select,
)

__all__ = [
    "COMPILED",
    "Compiled",
    "Statement",
    "add_once",
    "add_or_replace",
    "pack_ids",
    "read_clock",
    "unpack_entries",
    "unpack_ids",
    "unpack_numbers",
]

_encoder = msgspec.json.Encoder()

COMPILED = Path(__file__).with_name("compiled.json")
"""What statements say -> how SQLite is told; ``python tools/statements.py`` writes it."""


class Compiled(msgspec.Struct, frozen=True):
    """A statement as a dialect is told it.

    Attributes
    ----------
    text : str
        The SQL.
    names : tuple of str
        Its parameters in their order, where the dialect asks for one.
    fixed : dict of str to object
        Parameters that never vary.
    packed : tuple of str
        Parameters that are given as values and kept as JSON.
    kinds : dict of int to str
        Place in a row -> ``bool``, or the ``table.column`` whose kind it is decoded to.
    """

    text: str
    names: tuple[str, ...] = ()
    fixed: dict[str, Any] = {}
    packed: tuple[str, ...] = ()
    kinds: dict[int, str] = {}


class Statement:
    """A statement whose text is made once for each dialect, or was before the release.

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
    PostgreSQL one trip, prepared. The first time some 100 us, or 1 ms and SQLAlchemy's import when
    `COMPILED` does not have it.
    """

    def __init__(self, core: Any, columns: Sequence[str] = ()) -> None:
        self._core = core
        self._columns = tuple(columns)
        self._forms: dict[str, _Form] = {}

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
        form = self._form(connection)
        row = self.run(connection, values).fetchone()
        return None if row is None else form.decode(row)

    def all(self, connection: Connection, **values: Any) -> list[Any]:
        """Return every row of a select, each a sequence."""
        form = self._form(connection)
        rows = self.run(connection, values)
        return [form.decode(row) for row in rows] if form.decoders else [*rows]

    def identify(self) -> str | None:
        """Return what `COMPILED` knows the statement by; None when it says more than can be told in words."""
        return identify((self._core, self._columns))

    def compile(self, dialect: str) -> Compiled | None:
        """Return the statement as a dialect is told it; None when it needs more than `Compiled` can say."""
        from mainspring.store.compiling import compile_core, describe

        return describe(*compile_core(build(self._core), self._columns, dialect))

    def _form(self, connection: Connection) -> _Form:
        name = connection.dialect.name
        form = self._forms.get(name)
        if form is None:
            form = self._forms[name] = self._make(name)
        return form

    def _make(self, dialect: str) -> _Form:
        mark = self.identify() if dialect == "sqlite" and isinstance(self._core, Phrase) else None
        known = None if mark is None else _read_compiled().get(mark)
        if known is not None:
            return _Form(
                known.text,
                known.names,
                known.fixed,
                dict.fromkeys(known.packed, _pack),
                [(place, bool if kind == "bool" else _decoder(find_kind(kind))) for place, kind in known.kinds.items()],
            )
        from mainspring.store.compiling import compile_core, list_encoders, list_fixed

        compiled, decoders = compile_core(build(self._core), self._columns, dialect)
        return _Form(
            str(compiled),
            getattr(compiled, "positiontup", None) or (),
            list_fixed(compiled),
            list_encoders(compiled),
            [(place, bool if kind is bool else kind.decode) for place, kind in decoders],
        )


class _Form:
    """The text of a statement for one dialect, how its values are written and its rows are read."""

    __slots__ = ("_encoders", "_fixed", "decoders", "names", "text")

    def __init__(
        self,
        text: str,
        names: Sequence[str],
        fixed: Mapping[str, Any],
        encoders: Mapping[str, Callable[[Any], str]],
        decoders: Sequence[tuple[int, Callable[[Any], Any]]],
    ) -> None:
        self.text, self.names, self._fixed, self._encoders, self.decoders = text, names, fixed, encoders, decoders

    def encode(self, values: Mapping[str, Any]) -> dict[str, Any]:
        coded = {**self._fixed, **values}
        for name, encode in self._encoders.items():
            if coded[name] is not None:
                coded[name] = encode(coded[name])
        return coded

    def decode(self, row: Sequence[Any]) -> list[Any]:
        decoded = list(row)
        for place, decode in self.decoders:
            if decoded[place] is not None:
                decoded[place] = decode(decoded[place])
        return decoded


@cache
def _read_compiled() -> dict[str, Compiled]:
    try:
        return msgspec.json.decode(COMPILED.read_bytes(), type=dict[str, Compiled])
    except FileNotFoundError:
        return {}


@cache
def _decoder(kind: Any) -> Callable[[Any], Any]:
    return msgspec.json.Decoder(kind).decode


def _pack(value: Any) -> str:
    return _encoder.encode(value).decode()


def add_once(table: Table) -> Upsert:
    """Return an insert that leaves a row of the same key as it is."""
    return Upsert(table).on_conflict_do_nothing()


def add_or_replace(table: Table, *changed: str) -> Upsert:
    """Return an insert that sets these columns of a row of the same primary key."""
    upsert = Upsert(table)
    return upsert.on_conflict_do_update(
        index_elements=table.primary_key.columns, set_={name: upsert.excluded[name] for name in changed}
    )


def pack_ids(ids: Sequence[Any]) -> str:
    """Return texts, numbers or entries as the one value that an `unpack_...` makes rows of again."""
    return _encoder.encode(ids).decode()


def unpack_ids(name: str) -> Select[Any]:
    """Return what stands behind ``in`` in a statement whose parameter `name` is a packed list."""
    return select(column("value", Text)).select_from(Unpacked(bindparam(name, type_=Text)))


def unpack_numbers(name: str) -> Select[Any]:
    """Return what stands behind ``in`` in a statement whose parameter `name` is a packed list of whole numbers."""
    return select(cast(column("value", Text), BigInteger)).select_from(Unpacked(bindparam(name, type_=Text)))


def unpack_entries(name: str) -> Entries:
    """Return what stands behind ``from``: a packed list of (label, text, number or None) as rows of these columns."""
    return Entries(bindparam(name, type_=Text))
