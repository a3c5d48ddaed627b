"""The filter language of searches, one for the SDK, the command line and the API."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec

from mainspring.domain.errors import Invalid
from mainspring.domain.near import suggest
from mainspring.domain.tokens import Token, TokenReader

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


class _Parser(TokenReader):
    def __init__(self, text: str, fields: Mapping[str, FieldType]) -> None:
        super().__init__(text, _TOKEN)
        self._fields = fields
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
            key = _strip(self._take())
        if known is None or (known in _KEYED) is not bool(key):
            names = ", ".join(f"{name}.KEY" if kind in _KEYED else name for name, kind in self._fields.items())
            near = suggest(token.text, self._fields, " (did you mean {}?)")
            raise self._fault(f"there is no field {token.text!r}{near}; there are {names}", token)
        return head, key or None

    def _read_some(self, depth: int) -> Node:
        parts = [self._read_every(depth)]
        while self._skip("OR"):
            parts.append(self._read_every(depth))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _read_every(self, depth: int) -> Node:
        parts = [self._read_part(depth)]
        while self._skip("AND"):
            parts.append(self._read_part(depth))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _read_part(self, depth: int) -> Node:
        if depth > MOST_DEPTH:
            raise self._fault(f"more than {MOST_DEPTH} levels")
        if self._skip("NOT"):
            return Not(self._read_part(depth + 1))
        if self._skip("("):
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
        if self._skip("NOT"):
            return Not(self._read_list(field, key, kind))
        if self._is_word("IN"):
            return self._read_list(field, key, kind)
        token = self._take()
        if token.kind != "sign":
            raise self._fault(f"one of {', '.join(dict.fromkeys(_SIGNS.values()))}, in or not in is expected", token)
        sign = _SIGNS[token.text]
        if sign in {"=", "!="} and self._skip("NULL"):
            missing = Clause(field, key, "null")
            return missing if sign == "=" else Not(missing)
        if sign == "~" and kind in {"number", "numbers", "time"}:
            raise self._fault(f"{field} holds no text", token)
        return Clause(field, key, sign, (self._read_operand("text" if sign == "~" else kind),))

    def _read_list(self, field: str, key: str | None, kind: FieldType) -> Clause:
        if not self._skip("IN"):
            raise self._fault("in is expected after not")
        self._expect("(")
        operands = [self._read_operand(kind)]
        while self._skip(","):
            operands.append(self._read_operand(kind))
            if len(operands) > MOST_CLAUSES:
                raise self._fault(f"more than {MOST_CLAUSES} values")
        self._expect(")")
        return Clause(field, key, "in", tuple(operands))

    def _read_operand(self, kind: FieldType) -> Operand:
        token = self._take()
        if token.kind not in {"word", "quoted"}:
            raise self._fault("a value is expected here", token)
        text = _strip(token)
        number = _read_moment(text) if kind == "time" else None
        if number is None and token.kind == "word" and kind not in {"text", "texts"}:
            number = _read_number(text)
        if kind == "time" and number is None:
            raise self._fault(f"{text!r} is no time, such as 2026-11-01 or 2026-11-01T09:30", token)
        if kind in {"number", "numbers"} and number is None:
            raise self._fault(f"{text!r} is no number", token)
        return Operand(text, number)

    def _explain(self, rest: str) -> str:
        return "a quote that is not closed" if rest[0] in "'\"" else f"{rest[0]!r} means nothing here"

    def _fault(self, what: str, token: Token | None = None) -> Invalid:
        at = (token or self._next).start
        left = max(0, at - _SHOWN)
        shown = self._text[left : at + _SHOWN].replace("\n", " ")
        return Invalid(
            "RUN-011", f"at character {at + 1} of the filter: {what}\n  {shown}\n  {' ' * (at - left)}^", position=at
        )


def _strip(token: Token) -> str:
    """Return what a token says without its quotes."""
    text = token.text
    return text[1:-1].replace(text[0] * 2, text[0]) if token.kind == "quoted" else text


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
