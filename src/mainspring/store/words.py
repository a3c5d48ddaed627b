"""SQLAlchemy's words, written down as they are said and built once somebody needs what they mean.

The record's tables and statements are written in SQLAlchemy Core, and most owners run statements whose SQL was
compiled before the release. So the words here only note what was said with them: a `Phrase` is built by the real
SQLAlchemy, which is imported then, and known before by what it says. In statements and annotations they
read as SQLAlchemy's own; `connection.execute` and SQLAlchemy's functions take phrases, too.
"""

from __future__ import annotations

import hashlib
import importlib
import operator
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import (
        TEXT,
        VARCHAR,
        BigInteger,
        Boolean,
        Column,
        ColumnElement,
        Connection,
        Engine,
        Float,
        FromClause,
        Index,
        Integer,
        LargeBinary,
        RootTransaction,
        Select,
        String,
        Table,
        Text,
        TextClause,
        UniqueConstraint,
        and_,
        bindparam,
        case,
        cast,
        collate,
        column,
        delete,
        exists,
        false,
        func,
        insert,
        literal,
        literal_column,
        not_,
        null,
        or_,
        select,
        text,
        true,
        tuple_,
        type_coerce,
        update,
    )
    from sqlalchemy.dialects.sqlite import Insert as Upsert

    from mainspring.store.grammar import Entries, Packed, Unpacked, like_exactly, metadata, read_clock, text_of

__all__ = [
    "BigInteger",
    "Boolean",
    "Column",
    "ColumnElement",
    "Connection",
    "Engine",
    "Entries",
    "Float",
    "FromClause",
    "Index",
    "Integer",
    "LargeBinary",
    "Packed",
    "Phrase",
    "RootTransaction",
    "Select",
    "String",
    "TEXT",
    "Table",
    "Text",
    "TextClause",
    "UniqueConstraint",
    "Unpacked",
    "Upsert",
    "VARCHAR",
    "and_",
    "bindparam",
    "build",
    "case",
    "cast",
    "collate",
    "column",
    "delete",
    "exists",
    "false",
    "find_kind",
    "func",
    "identify",
    "insert",
    "like_exactly",
    "literal",
    "literal_column",
    "metadata",
    "not_",
    "null",
    "or_",
    "read_clock",
    "select",
    "text",
    "text_of",
    "true",
    "tuple_",
    "type_coerce",
    "update",
]

_ELSEWHERE = {
    "Upsert": ("sqlalchemy.dialects.sqlite", "Insert"),
    **{
        name: ("mainspring.store.grammar", name)
        for name in ("Entries", "Packed", "Unpacked", "like_exactly", "read_clock", "text_of")
    },
}
_OPERATORS = ("eq", "ne", "lt", "le", "gt", "ge", "and_", "or_", "invert", "add", "sub", "mul", "truediv", "mod", "neg")
_ACTS = {each.rstrip("_"): getattr(operator, each) for each in _OPERATORS}
_TURNED = {f"r{each}": _ACTS[each] for each in ("add", "sub", "mul", "truediv")}
_GROUPS = frozenset({tuple, list, dict})
_PLAIN = (str, int, float, bytes, type, type(None))


class Phrase:
    """What was said with SQLAlchemy's words, not built yet.

    Notes
    -----
    Guarantees: it is built at most once, so that what is said of it later is said of the same object. Its truth, its
    length and its elements are those of what it means: to ask for them builds it.
    """

    __slots__ = ("_made", "_said")
    is_clause_element = False  # which SQLAlchemy asks before it takes what `__clause_element__` returns

    def __init__(self, *said: Any) -> None:
        self._said = said
        self._made: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return Phrase("get", self, name)

    def __call__(self, *values: Any, **options: Any) -> Phrase:
        """Note a call."""
        return Phrase("call", self, values, options)

    def __getitem__(self, key: Any) -> Phrase:
        return Phrase("item", self, key)

    def __clause_element__(self) -> Any:
        return build(self)

    def _execute_on_connection(self, *given: Any) -> Any:
        return build(self)._execute_on_connection(*given)

    def __bool__(self) -> bool:
        return bool(build(self))

    def __iter__(self) -> Iterator[Any]:
        return iter(build(self))

    def __contains__(self, value: Any) -> bool:
        return value in build(self)

    def __len__(self) -> int:
        return len(build(self))

    def __str__(self) -> str:
        return str(build(self))

    __hash__ = object.__hash__


class _Part(Phrase):
    """A column of a declared table."""

    __slots__ = ("kind", "name")

    def __init__(self, columns: _Parts, name: str, kind: Any) -> None:
        super().__init__("item", columns, name)
        self.name, self.kind = name, kind


class _Parts(Phrase):
    """The columns of a declared table, known by their names before it is built."""

    __slots__ = ("_parts",)

    def __init__(self, table: Phrase, parts: dict[str, Any]) -> None:
        super().__init__("get", table, "c")
        self._parts = {name: _Part(self, name, kind) for name, kind in parts.items()}

    def __getattr__(self, name: str) -> Any:
        found = None if name.startswith("_") else self._parts.get(name)
        return super().__getattr__(name) if found is None else found

    def __getitem__(self, key: Any) -> Phrase:
        return self._parts[key] if isinstance(key, str) else super().__getitem__(key)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parts.values())

    def __contains__(self, value: Any) -> bool:
        return value in self._parts if isinstance(value, str) else super().__contains__(value)


class _Declared(Phrase):
    """A declared table."""

    __slots__ = ("c", "mark", "name")

    def __init__(self, name: str, *rest: Any, **options: Any) -> None:
        super().__init__("call", _word("Table"), (name, *rest), options)
        columns = (each._said for each in rest if isinstance(each, Phrase) and each._said[0] == "call")
        self.name = name
        self.c = _Parts(self, {said[2][0]: said[2][1] for said in columns if said[1]._said[-1] == "Column"})
        self.mark = ""


class _Declarations(Phrase):
    """Every declared table; `tables` are known before they are built."""

    __slots__ = ("tables",)

    def __init__(self) -> None:
        super().__init__("name", "mainspring.store.grammar", "metadata")
        self.tables: dict[str, _Declared] = {}

    def declare(self, *given: Any, **options: Any) -> _Declared:
        table = self.tables[given[0]] = _Declared(*given, **options)
        return table


def build(said: Any) -> Any:
    """Return what a phrase, or a collection with phrases in it, means to SQLAlchemy; anything else as it is."""
    if isinstance(said, Phrase):
        if not said._made:
            said._made.append(_build(*said._said))
        return said._made[0]
    if type(said) in {tuple, list}:
        return type(said)(build(each) for each in said)
    if type(said) is dict:
        return {build(key): build(value) for key, value in said.items()}
    return said


def identify(said: Any) -> str | None:
    """Return a digest of all that a phrase says, tables in full; None for one with something in it that is no words."""
    out: list[str] = []
    return hashlib.sha1("\n".join(out).encode(), usedforsecurity=False).hexdigest() if _spell(said, out, {}) else None


def find_kind(reference: str) -> Any:
    """Return what a packed column decodes to, by ``table.column``."""
    table, _, name = reference.partition(".")
    return metadata.tables[table].c[name].kind._said[2][0]


def _build(act: str, base: Any, *rest: Any) -> Any:
    if act == "name":
        return getattr(importlib.import_module(base), rest[0])
    if act == "get":
        if base is metadata:
            build([*metadata.tables.values()])
        return getattr(build(base), rest[0])
    if act == "item":
        return build(base)[build(rest[0])]
    if act == "call":
        return build(base)(*build(rest[0]), **build(rest[1]))
    left, *right = build([base, *rest])
    return _TURNED[act](*right, left) if act in _TURNED else _ACTS[act](left, *right)


def _spell(said: Any, out: list[str], met: dict[int, int]) -> bool:
    """Write what a phrase says; one that is met again by its number: two aliases of a table say the same."""
    if not isinstance(said, Phrase):
        kind = type(said)
        if kind in _GROUPS:
            out.append(f"{kind.__name__} {len(said)}")
            return _spell_all(said.items() if kind is dict else said, out, met)
        out.append(repr(said))
        return isinstance(said, _PLAIN) or kind.__module__ in {"typing", "types"}
    number = met.get(id(said))
    if number is not None:
        out.append(f"#{number}")
        return True
    met[id(said)] = len(met)
    if type(said) is _Declared:
        if not said.mark:
            inner: list[str] = []
            _spell(said._said[2:], inner, {id(metadata): 0})
            said.mark = hashlib.sha1("\n".join(inner).encode(), usedforsecurity=False).hexdigest()
        out.append(f"{said.name} {said.mark}")
        return True
    act, *rest = said._said
    out.append(act)
    return _spell_all(rest, out, met)


def _spell_all(parts: Iterable[Any], out: list[str], met: dict[int, int]) -> bool:
    for each in parts:  # by hand: an owner spends as long here as on the statements themselves
        if type(each) is str:
            out.append(repr(each))
        elif not _spell(each, out, met):
            return False
    return True


def _word(name: str) -> Phrase:
    return Phrase("name", *_ELSEWHERE.get(name, ("sqlalchemy", name)))


def _operator(name: str) -> Any:
    def say(self: Phrase, *others: Any) -> Phrase:
        return Phrase(name, self, *others)

    return say


for _name in (*_ACTS, *_TURNED):
    setattr(Phrase, f"__{_name}__", _operator(_name))

if not TYPE_CHECKING:
    metadata = _Declarations()
    Table = metadata.declare

    def __getattr__(name: str) -> Phrase:
        if name.startswith("_"):
            raise AttributeError(name)
        word = globals()[name] = _word(name)
        return word
