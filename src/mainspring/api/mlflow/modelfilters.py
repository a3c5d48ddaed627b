"""Filters of logged models: comparisons joined by AND, read by a closed grammar."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mainspring.api.mlflow.errors import MlflowError
from mainspring.domain.loggedmodels import Condition
from mainspring.tracking.modelsearch import ATTRIBUTES

NAMES = {
    "creation_time": "creation_timestamp",
    "creation_timestamp_ms": "creation_timestamp",
    "last_updated_time": "last_updated_timestamp",
    "last_updated_timestamp_ms": "last_updated_timestamp",
}
"""Other names of attributes -> ours."""

_NUMBERS = frozenset({"creation_timestamp", "last_updated_timestamp"})
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<name>(?:[A-Za-z_][\w]*\.)?(?:`[^`]+`|"[^"]+"|[A-Za-z_][\w./-]*))
    |(?P<sign><=|>=|!=|=|<|>)
    |(?P<text>'(?:[^']|'')*')
    |(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<mark>[(),])
    )""",
    re.VERBOSE,
)
_Token = tuple[str, str, int]


def read_filter(text: str) -> list[Condition]:
    """Return the conditions of a filter.

    Raises
    ------
    MlflowError
        INVALID_PARAMETER_VALUE, with the position of the fault.
    """
    tokens = list(_split(text))
    found = []
    while tokens:
        found.append(_take_condition(text, tokens))
        if tokens:
            kind, word, place = tokens.pop(0)
            if kind != "name" or word.upper() != "AND" or not tokens:
                raise _fault(text, place, "AND and another comparison")
    return found


def _split(text: str) -> Iterator[_Token]:
    place = 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            raise _fault(text, place, "a name, a sign or a value")
        yield found.lastgroup, found[found.lastgroup], found.start(found.lastgroup)
        place = found.end()


def _take_condition(text: str, tokens: list[_Token]) -> Condition:
    part, key = _take_name(text, tokens)
    is_number = part == "metrics" or (part == "attributes" and key in _NUMBERS)
    sign, place = _take_sign(text, tokens)
    if sign not in ({"=", "!=", "<", "<=", ">", ">="} if is_number else {"=", "!=", "LIKE", "ILIKE", "IN", "NOT IN"}):
        raise _fault(text, place, f"a sign that {part}.{key} is compared by")
    if sign in {"IN", "NOT IN"}:
        return Condition(part, key, sign, _take_texts(text, tokens))
    value = _take(text, tokens, "number" if is_number else "text", "a number" if is_number else "a text in quotes")
    return Condition(part, key, sign, float(value) if is_number else _unquote(value))


def _take_name(text: str, tokens: list[_Token]) -> tuple[str, str]:
    place = tokens[0][2]
    name = _take(text, tokens, "name", "a name")
    part, dot, key = name.partition(".")
    if not dot or part[0] in '`"':
        part, key = "attributes", name
    key = key.strip('`"')
    if part == "attributes":
        key = NAMES.get(key, key)
    if part not in {"attributes", "metrics", "params", "tags"} or (part == "attributes" and key not in ATTRIBUTES):
        raise _fault(text, place, f"metrics.X, params.X, tags.X or one of {', '.join(sorted(ATTRIBUTES))}")
    return part, key


def _take_sign(text: str, tokens: list[_Token]) -> tuple[str, int]:
    if not tokens:
        raise _fault(text, len(text), "a sign")
    kind, word, place = tokens.pop(0)
    if kind == "name" and word.upper() == "NOT" and tokens and tokens[0][1].upper() == "IN":
        tokens.pop(0)
        return "NOT IN", place
    if kind != "sign" and word.upper() not in {"LIKE", "ILIKE", "IN"}:
        raise _fault(text, place, "a sign")
    return word.upper(), place


def _take_texts(text: str, tokens: list[_Token]) -> tuple[str, ...]:
    _take(text, tokens, "mark", "(", "(")
    found = [_unquote(_take(text, tokens, "text", "a text in quotes"))]
    while tokens and tokens[0][1] == ",":
        tokens.pop(0)
        found.append(_unquote(_take(text, tokens, "text", "a text in quotes")))
    _take(text, tokens, "mark", ")", ")")
    return tuple(found)


def _take(text: str, tokens: list[_Token], kind: str, wanted: str, exactly: str = "") -> str:
    if not tokens:
        raise _fault(text, len(text), wanted)
    found, word, place = tokens.pop(0)
    if found != kind or (exactly and word != exactly):
        raise _fault(text, place, wanted)
    return word


def _unquote(text: str) -> str:
    return text[1:-1].replace("''", "'")


def _fault(text: str, place: int, wanted: str) -> MlflowError:
    return MlflowError(f"Invalid filter string: {text[:1000]!r}. Expected {wanted} at position {place + 1}.")
