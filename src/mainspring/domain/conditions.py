"""MLflow's filters and orders: a closed grammar read by a parser of our own, for everything that its clients search.

A filter is a list of conditions joined by AND: ``metrics.loss < 0.5 AND params."learning rate" = '0.1'``. The words of
refusals are near MLflow's, and say where the fault is.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from mainspring.domain.errors import Invalid
from mainspring.domain.tokens import Token, TokenReader

MOST_CHARACTERS = 100_000
MOST_CONDITIONS = 100
MOST_VALUES = 10_000
_SHOWN = 60

Value = str | int | float | tuple[str, ...] | None

NUMERIC = ("=", "!=", "<", "<=", ">", ">=")
TEXTUAL = ("=", "!=", "LIKE", "ILIKE")
LISTED = ("IN", "NOT IN")
ABSENT = ("IS NULL", "IS NOT NULL")


class Condition(msgspec.Struct, frozen=True):
    """One comparison; what has no value fulfils none but ``IS NULL``.

    Attributes
    ----------
    kind : str
        ``attribute``, ``metric``, ``parameter``, ``tag`` or ``dataset``.
    key : str
        Of what; aliases are resolved.
    sign : str
        ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``LIKE``, ``ILIKE``, ``IN``, ``NOT IN``,
        ``IS NULL`` or ``IS NOT NULL``.
    value : str, int, float, tuple of str or None
        A list for ``IN`` and ``NOT IN``, None for ``IS``.
    """

    kind: str
    key: str
    sign: str
    value: Value = None


class Order(NamedTuple):
    """What a search is ordered by, in its turn."""

    kind: str
    key: str
    descending: bool


class Grammar(NamedTuple):
    """What can be searched, and how.

    Attributes
    ----------
    kinds : mapping of str to str
        Word before the dot -> kind; without a dot it is an attribute.
    signs : mapping of str to tuple of str
        Kind other than ``attribute`` -> the signs that it takes.
    attributes : mapping of str to tuple of str
        Attribute -> the signs that it takes; `NUMERIC` ones are compared with numbers.
    aliases : mapping of str to str
        Other name of an attribute -> its name.
    ordered : frozenset of str
        Attributes that can be ordered by, by whichever name.
    ordered_kinds : frozenset of str
        Kinds that can be ordered by.
    whole : frozenset of str
        Attributes that are compared with whole numbers only, also those that are texts.
    quoted : frozenset of str
        Of these the numbers that may stand in quotes.
    datasets : frozenset of str
        Keys of ``dataset``.
    """

    kinds: Mapping[str, str]
    signs: Mapping[str, tuple[str, ...]]
    attributes: Mapping[str, tuple[str, ...]]
    ordered: frozenset[str]
    aliases: Mapping[str, str] = {}
    ordered_kinds: frozenset[str] = frozenset({"attribute"})
    whole: frozenset[str] = frozenset()
    quoted: frozenset[str] = frozenset()
    datasets: frozenset[str] = frozenset()


_QUOTED = """`[^`]+`|"[^"]+"|'[^']+'"""
_TOKEN = re.compile(
    rf"""\s*(?:
    (?P<number>-?(?:\d+(?:\.\d+)?[eE]-?\d+|\d+\.\d*|\.\d+|\d+)(?![\w.])) |
    (?P<text>'(?:''|\\'|[^'])*') |
    (?P<word>(?:`[^`]+`|"[^"]+"|[^\W\d][\w$\#]*)(?:\.(?:{_QUOTED}|\w[\w$\#]*))*) |
    (?P<sign>[<>=!~]+) |
    (?P<mark>[(),])
    )""",
    re.VERBOSE,
)


def parse_conditions(text: str, grammar: Grammar) -> tuple[Condition, ...]:
    """Parse a filter.

    Parameters
    ----------
    text : str
        At most 100,000 characters and 100 conditions; empty holds everywhere.
    grammar : Grammar
        One of `mainspring.domain.grammars`.

    Raises
    ------
    Invalid
        RUN-014, with the position of the fault.
    """
    if len(text) > MOST_CHARACTERS:
        raise Invalid("RUN-014", f"Invalid filter: {len(text):,} characters, at most {MOST_CHARACTERS:,} are read")
    return tuple(_Parser(text, grammar).read_conditions())


def parse_orders(texts: list[str], grammar: Grammar) -> tuple[Order, ...]:
    """Parse what a search is ordered by: each ``key``, ``key ASC`` or ``key DESC``.

    Raises
    ------
    Invalid
        RUN-014, also for a key that is there twice.
    """
    orders = [_Parser(text, grammar, "order_by clause").read_order() for text in texts]
    if len({(order.kind, order.key) for order in orders}) < len(orders):
        raise Invalid("RUN-014", f"`order_by` contains duplicate fields: {texts}")
    return tuple(orders)


class _Parser(TokenReader):
    def __init__(self, text: str, grammar: Grammar, what: str = "filter string") -> None:
        self._grammar = grammar
        self._what = what
        super().__init__(text, _TOKEN)

    def read_conditions(self) -> Iterator[Condition]:
        if self._next.kind == "end":
            return
        for _ in range(MOST_CONDITIONS):
            yield self._read_condition()
            if self._next.kind == "end":
                return
            if not self._skip("AND"):
                raise self._fault(f"Invalid clause(s) in filter string: {self._next.text!r}; clauses are joined by AND")
        raise self._fault(f"Invalid filter string: more than {MOST_CONDITIONS} comparisons")

    def read_order(self) -> Order:
        token = self._take()
        kind, key = self._read_key(token, self._grammar.ordered)
        if kind not in self._grammar.ordered_kinds:
            raise self._fault(f"Invalid order_by entity: {kind}", token)
        descending = self._skip("DESC")
        if not descending:
            self._skip("ASC")
        if self._next.kind != "end":
            raise self._fault(f"Invalid ordering key in order_by clause '{self._text[:_SHOWN]}'")
        return Order(kind, key, descending)

    def _read_condition(self) -> Condition:
        token = self._take()
        kind, key = self._read_key(token, {*self._grammar.attributes, *self._grammar.aliases})
        signs = self._grammar.attributes[key] if kind == "attribute" else self._grammar.signs[kind]
        start = self._next
        sign = self._read_sign()
        if sign not in signs:
            raise self._fault(f"Invalid comparator '{sign}' for {kind} '{key}', not one of {list(signs)}", start)
        if sign in ABSENT:
            return Condition(kind, key, sign)
        start = self._next
        value: Value
        if sign in LISTED:
            value = tuple(self._read_list())
        elif "<" in signs and not (key in self._grammar.quoted and start.text[:1] in {"'", '"'}):
            value = self._read_number(kind, key)
        else:
            value = self._read_text(kind)
        if kind == "attribute" and key in self._grammar.whole and not isinstance(value, int):
            value = self._read_whole(key, value, start)
        return Condition(kind, key, sign, value)

    def _read_whole(self, key: str, value: Value, start: Token) -> Value:
        for each in value if isinstance(value, tuple) else (value,):
            if not re.fullmatch(r"\s*[+-]?\d+\s*", str(each)):
                raise self._fault(f"Invalid value for numeric attribute '{key}': {each!r}", start)
        return int(str(value)) if key in self._grammar.quoted else value

    def _read_key(self, token: Token, attributes: Collection[str]) -> tuple[str, str]:
        if token.kind != "word":
            raise self._fault(f"Invalid comparison clause. Expected 'Identifier' found '{token.text}'", token)
        head, dot, rest = token.text.partition(".") if token.text[0] not in '`"' else ("", "", token.text)
        kind = self._grammar.kinds.get(head) if dot else "attribute"
        if kind is None:
            kinds = list(dict.fromkeys(self._grammar.kinds.values()))
            raise self._fault(f"Invalid entity type '{head}'. Valid values are {kinds}", token)
        key = _strip(rest if dot else token.text)
        if kind == "attribute" and key not in attributes:
            raise self._fault(f"Invalid attribute key '{key}' specified. Valid keys are {sorted(attributes)}", token)
        if kind == "dataset" and key not in self._grammar.datasets:
            known = sorted(self._grammar.datasets)
            raise self._fault(f"Invalid dataset key '{key}' specified. Valid keys are {known}", token)
        return kind, self._grammar.aliases.get(key, key) if kind == "attribute" else key

    def _read_sign(self) -> str:
        token = self._take()
        if token.kind == "sign":
            return token.text
        word = token.text.upper()
        if word == "NOT" and self._next.text.upper() in {"IN", "LIKE", "ILIKE"}:
            return f"NOT {self._take().text.upper()}"
        if word == "IS":
            absent = "IS NOT NULL" if self._skip("NOT") else "IS NULL"
            if not self._skip("NULL"):
                raise self._fault(f"Invalid comparison clause. Expected NULL found '{self._next.text}'")
            return absent
        if token.kind == "word" and word in {"IN", "LIKE", "ILIKE", "RLIKE"}:
            return word
        raise self._fault(f"Invalid comparison clause. Expected comparison found '{token.text}'", token)

    def _read_number(self, kind: str, key: str) -> float | int:
        token = self._take()
        if token.kind != "number":
            what = "metric" if kind == "metric" else f"numeric attribute: {key}"
            raise self._fault(f"Expected numeric value type for {what}. Found {token.text}", token)
        if kind == "metric":
            return float(token.text)
        return int(token.text) if token.text.lstrip("-").isdecimal() else float(token.text)

    def _read_text(self, kind: str) -> str:
        token = self._take()
        if token.kind == "text" or (token.kind == "word" and token.text[0] == '"' and '"."' not in token.text):
            return token.text[1:-1]
        if token.kind == "word":
            what = "Parameter value is either not quoted or unidentified quote types used for string value"
            raise self._fault(f"{what} {token.text}. Use either single or double quotes.", token)
        raise self._fault(f"Expected a quoted string value for {kind} (e.g. 'my-value'). Got value {token.text}", token)

    def _read_list(self) -> Iterator[str]:
        self._expect("(")
        for _ in range(MOST_VALUES):
            token = self._next
            if token.kind != "text" and not (token.kind == "word" and token.text[0] == '"'):
                what = "While parsing a list in the query, expected a non-empty list of string values, but got"
                raise self._fault(f"{what} '{token.text}'")
            yield self._take().text[1:-1]
            self._skip(",")
            if self._skip(")"):
                return
        raise self._fault(f"While parsing a list in the query, more than {MOST_VALUES} values")

    def _explain(self, rest: str) -> str:
        return f"Invalid clause(s) in {self._what}: {rest[:_SHOWN]!r}"

    def _fault(self, what: str, token: Token | None = None) -> Invalid:
        at = (token or self._next).start
        return Invalid("RUN-014", f"{what} (at character {at + 1} of the {self._what})", position=at)


def _strip(key: str) -> str:
    return key[1:-1] if len(key) > 1 and key[0] in "`\"'" and key[-1] == key[0] else key


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def holds(condition: Condition, found: Any) -> bool:
    """Tell whether a condition holds for what was found; None: there is nothing.

    Examples
    --------
    >>> holds(Condition("tag", "team", "LIKE", "a%"), "anna"), holds(Condition("tag", "team", "IS NULL"), None)
    (True, True)
    """
    if condition.sign in ABSENT:
        return (found is None) is (condition.sign == "IS NULL")
    if found is None:
        return False
    if condition.sign in LISTED:
        assert isinstance(condition.value, tuple)
        return (found in condition.value) is (condition.sign == "IN")
    if condition.sign in {"LIKE", "ILIKE"}:
        return match_like(str(condition.value), str(found), folded=condition.sign == "ILIKE")
    if isinstance(found, float) and math.isnan(found):
        return condition.sign == "!="
    return _COMPARE[condition.sign](found, condition.value)


def match_like(pattern: str, text: str, *, folded: bool = False) -> bool:
    """Tell whether a text is like a pattern of SQL: ``%`` any characters, ``_`` one.

    Parameters
    ----------
    pattern, text : str
        Any.
    folded : bool, default False
        Whether the case of ASCII letters counts not, as in SQLite.
    """
    if folded:
        pattern, text = _fold(pattern), _fold(text)
    # Between two % the leftmost place will do: nothing is tried twice, however long the texts are.
    first, *parts = [
        re.compile("".join("." if each == "_" else re.escape(each) for each in part), re.DOTALL)
        for part in pattern.split("%")
    ]
    if not parts:
        return first.fullmatch(text) is not None
    found = first.match(text)
    for part in parts[:-1]:
        found = part.search(text, found.end()) if found else None
    last = len(pattern) - pattern.rfind("%") - 1
    return found is not None and len(text) - last >= found.end() and parts[-1].match(text, len(text) - last) is not None


def _fold(text: str) -> str:
    return "".join(each.lower() if each.isascii() else each for each in text)
