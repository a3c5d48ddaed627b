"""The filter language of searches, one for the SDK, the command line and the API."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import msgspec

from mainspring.domain.errors import Invalid
from mainspring.domain.near import suggest

FieldType = Literal["text", "number", "time", "numbers", "texts", "values"]
"""What a field holds; the plural ones hold one value for each key: ``metrics.auc``."""

MOST_CHARACTERS = 4_000
MOST_CLAUSES = 100
MOST_DEPTH = 20

_SIGNS = {"=": "=", "==": "=", "!=": "!=", ">": ">", ">=": ">=", "<": "<", "<=": "<=", "~": "~"}
_KEYED = frozenset({"numbers", "texts", "values"})
_SHOWN = 30
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<mark>[(),]) |
    (?P<sign>==|!=|>=|<=|=|>|<|~) |
    (?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*") |
    (?P<word>[^\s()=<>!~,'"]+)
    )""",
    re.VERBOSE,
)


class Operand(msgspec.Struct, frozen=True):
    """What a field is compared with.

    Attributes
    ----------
    text : str
        As written, without quotes.
    number : float or None
        Its value as a number, or a moment in seconds since 1970 UTC; None when it is a text only,
        as everything in quotes is.
    """

    text: str
    number: float | None = None


class Clause(msgspec.Struct, frozen=True):
    """One comparison; a field without a value fulfils none but ``= null``.

    Attributes
    ----------
    field : str
        Name of the field.
    key : str or None
        What follows the dot, for fields with keys.
    sign : str
        ``=``, ``!=``, ``>``, ``>=``, ``<``, ``<=``, ``~`` (holds the text, whatever the case of
        ASCII letters), ``in`` or ``null``.
    operands : tuple of Operand
        One; for ``in`` at least one; for ``null`` none.
    """

    field: str
    key: str | None
    sign: str
    operands: tuple[Operand, ...] = ()


class Not(msgspec.Struct, frozen=True):
    """Holds where the inner node does not."""

    inner: Node


class Every(msgspec.Struct, frozen=True):
    """Holds where all parts do."""

    parts: tuple[Node, ...]


class Some(msgspec.Struct, frozen=True):
    """Holds where at least one part does."""

    parts: tuple[Node, ...]


Node = Clause | Not | Every | Some


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


def parse_filter(text: str, fields: Mapping[str, FieldType]) -> Node:
    """Parse a filter such as ``state = failed and (metrics.auc > .7 or params.rate in (0.1, 0.2))``.

    Parameters
    ----------
    text : str
        At most 4,000 characters, 100 clauses, 20 levels; empty holds everywhere. ``or`` binds less
        than ``and``, ``and`` less than ``not``; keys with other characters stand in quotes
        (``metrics."val loss"``), and a quote inside of quotes is doubled.
    fields : mapping of str to FieldType
        The fields that there are.

    Returns
    -------
    Node
        What `mainspring.store.search` turns into SQL.

    Raises
    ------
    Invalid
        RUN-011, with the position of the fault.

    Examples
    --------
    >>> parse_filter("state = failed", {"state": "text"})
    Clause(field='state', key=None, sign='=', operands=(Operand(text='failed', number=None),))
    """
    if len(text) > MOST_CHARACTERS:
        raise Invalid("RUN-011", f"a filter of {len(text):,} characters; at most {MOST_CHARACTERS:,} are read")
    return _Parser(text, fields).parse()


class Order(msgspec.Struct, frozen=True):
    """What a search is ordered by."""

    field: str
    key: str | None
    descending: bool


def parse_order(text: str, fields: Mapping[str, FieldType]) -> Order | None:
    """Parse ``field`` or ``-field`` (descending); empty: None, which means newest first.

    Raises
    ------
    Invalid
        RUN-011 when there is no such field.

    Examples
    --------
    >>> parse_order("-metrics.auc", {"metrics": "numbers"})
    Order(field='metrics', key='auc', descending=True)
    """
    if not text.strip():
        return None
    name = text.strip()
    parser = _Parser(name.removeprefix("-"), fields)
    field, key = parser.read_field()
    parser.expect_end()
    return Order(field, key, name.startswith("-"))


class _Parser:
    def __init__(self, text: str, fields: Mapping[str, FieldType]) -> None:
        self._text = text
        self._fields = fields
        self._tokens = list(self._scan())
        self._at = 0
        self._clauses = 0

    def parse(self) -> Node:
        if len(self._tokens) == 1:
            return Every(())
        node = self._read_some(0)
        self.expect_end()
        return node

    def expect_end(self) -> None:
        if self._next.kind != "end":
            raise self._fault(f"{self._next.text!r} is one word too many; clauses are joined by and, or")

    def read_field(self) -> tuple[str, str | None]:
        token = self._take()
        if token.kind != "word":
            raise self._fault("a field is expected here", token)
        head, dot, key = token.text.partition(".")
        known = self._fields.get(head)
        if dot and not key and self._next.kind == "quoted" and self._next.start == token.end:
            key = self._take().text
        if known is None or (known in _KEYED) is not bool(key):
            names = ", ".join(f"{name}.KEY" if kind in _KEYED else name for name, kind in self._fields.items())
            near = suggest(token.text, self._fields, " (did you mean {}?)")
            raise self._fault(f"there is no field {token.text!r}{near}; there are {names}", token)
        return head, key or None

    def _scan(self) -> Iterator[_Token]:
        at = 0
        while self._text[at:].strip():
            found = _TOKEN.match(self._text, at)
            if found is None:
                start = at + len(self._text[at:]) - len(self._text[at:].lstrip())
                mark = self._text[start]
                what = "a quote that is not closed" if mark in "'\"" else f"{mark!r} means nothing here"
                raise self._fault(what, _Token("", "", start, start))
            kind = str(found.lastgroup)
            text = found[kind]
            if kind == "quoted":
                text = text[1:-1].replace(text[0] * 2, text[0])
            yield _Token(kind, text, found.start(kind), found.end())
            at = found.end()
        yield _Token("end", "", len(self._text), len(self._text))

    def _read_some(self, depth: int) -> Node:
        parts = [self._read_every(depth)]
        while self._skip("or"):
            parts.append(self._read_every(depth))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _read_every(self, depth: int) -> Node:
        parts = [self._read_part(depth)]
        while self._skip("and"):
            parts.append(self._read_part(depth))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _read_part(self, depth: int) -> Node:
        if depth > MOST_DEPTH:
            raise self._fault(f"more than {MOST_DEPTH} levels")
        if self._skip("not"):
            return Not(self._read_part(depth + 1))
        if self._next.kind == "mark" and self._next.text == "(":
            self._take()
            inner = self._read_some(depth + 1)
            self._expect(")")
            return inner
        return self._read_clause()

    def _read_clause(self) -> Node:
        self._clauses += 1
        if self._clauses > MOST_CLAUSES:
            raise self._fault(f"more than {MOST_CLAUSES} clauses")
        field, key = self.read_field()
        kind = self._fields[field]
        if self._skip("not"):
            return Not(self._read_list(field, key, kind))
        if self._next.kind == "word" and self._next.text.lower() == "in":
            return self._read_list(field, key, kind)
        token = self._take()
        if token.kind != "sign":
            raise self._fault(f"one of {', '.join(dict.fromkeys(_SIGNS.values()))}, in or not in is expected", token)
        sign = _SIGNS[token.text]
        if self._next.kind == "word" and self._next.text.lower() == "null" and sign in {"=", "!="}:
            self._take()
            missing = Clause(field, key, "null")
            return missing if sign == "=" else Not(missing)
        if sign == "~" and kind in {"number", "numbers", "time"}:
            raise self._fault(f"{field} holds no text", token)
        return Clause(field, key, sign, (self._read_operand("text" if sign == "~" else kind),))

    def _read_list(self, field: str, key: str | None, kind: FieldType) -> Clause:
        token = self._take()
        if token.text.lower() != "in" or token.kind != "word":
            raise self._fault("in is expected after not", token)
        self._expect("(")
        operands = [self._read_operand(kind)]
        while self._next.kind == "mark" and self._next.text == ",":
            self._take()
            operands.append(self._read_operand(kind))
            if len(operands) > MOST_CLAUSES:
                raise self._fault(f"more than {MOST_CLAUSES} values")
        self._expect(")")
        return Clause(field, key, "in", tuple(operands))

    def _read_operand(self, kind: FieldType) -> Operand:
        token = self._take()
        if token.kind not in {"word", "quoted"}:
            raise self._fault("a value is expected here", token)
        number = _read_moment(token.text) if kind == "time" else None
        if number is None and token.kind == "word" and kind not in {"text", "texts"}:
            number = _read_number(token.text)
        if kind == "time" and number is None:
            raise self._fault(f"{token.text!r} is no time, such as 2026-11-01 or 2026-11-01T09:30", token)
        if kind in {"number", "numbers"} and number is None:
            raise self._fault(f"{token.text!r} is no number", token)
        return Operand(token.text, number)

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _skip(self, word: str) -> bool:
        found = self._next.kind == "word" and self._next.text.lower() == word
        if found:
            self._take()
        return found

    def _expect(self, mark: str) -> None:
        token = self._take()
        if token.kind != "mark" or token.text != mark:
            raise self._fault(f"{mark} is expected here", token)

    def _fault(self, what: str, token: _Token | None = None) -> Invalid:
        at = (token or self._next).start
        left = max(0, at - _SHOWN)
        shown = self._text[left : at + _SHOWN].replace("\n", " ")
        return Invalid(
            "RUN-011", f"at character {at + 1} of the filter: {what}\n  {shown}\n  {' ' * (at - left)}^", position=at
        )


def _read_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def _read_moment(text: str) -> float | None:
    number = _read_number(text)
    if number is not None:
        return number
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
