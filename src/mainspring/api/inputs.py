"""Requests become commands: path, query and body are read strictly, with bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import Meta
from starlette.datastructures import QueryParams

from mainspring.api.routes import Entry
from mainspring.domain.errors import Invalid
from mainspring.domain.messages import Command
from mainspring.domain.principals import DEFAULT_PROJECT

MOST_DEPTH = 64
"""So many levels may lists and dictionaries lie in each other."""

RESERVED = ("fields", "project")
"""Parameters of the query that every route understands, none of which is a command's."""

_PLACE = re.compile(r"\{([a-z_]+)(?::path)?\}")
_PROJECT = re.compile(r"[a-z][a-z0-9_-]{0,49}")
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_TEXT = Annotated[str, Meta(max_length=4000, pattern=r"^[^\x00]*$")]
_LONGEST_S = 1e10
_GREATEST = 2**53
_MOST = 1_000

BOUNDS: dict[str, Any] = {
    "after": Annotated[int, Meta(ge=0, le=_GREATEST)],
    "expires_s": Annotated[float, Meta(gt=0, le=_LONGEST_S)] | None,
    "limit": Annotated[int, Meta(ge=1, le=_MOST)],
    "number": Annotated[int, Meta(ge=1, le=2**31)],
    "offset": Annotated[int, Meta(ge=0, le=_GREATEST)],
    "until": Annotated[float, Meta(ge=0, le=_LONGEST_S)],
    "value": Annotated[str, Meta(max_length=65536)],
    "wait_s": Annotated[float, Meta(ge=0, le=30)],
}
"""Field -> its type over HTTP, where that is narrower than the command's."""


class Inputs(msgspec.Struct, frozen=True):
    """Where the fields of a route's command come from, as types that refuse all else.

    Attributes
    ----------
    path, query, body : type of Struct
        What stands in the path, in the query and in the body.
    """

    path: type[msgspec.Struct]
    query: type[msgspec.Struct]
    body: type[msgspec.Struct]


@cache
def _read_places(path: str) -> tuple[str, ...]:
    return tuple(_PLACE.findall(path))


_inputs: dict[str, Inputs] = {}


def find_inputs(entry: Entry) -> Inputs:
    """Return the types of a route's inputs; made once."""
    found = _inputs.get(entry.name)
    if found is None:
        found = _inputs[entry.name] = _make_inputs(entry)
    return found


def _make_inputs(entry: Entry) -> Inputs:
    places = _read_places(entry.path)
    fields = {field.name: field for field in msgspec.structs.fields(entry.command)}
    given = {*places, *entry.fixed, *entry.left_out}
    if entry.build is not None:
        given.add("ids")
    rest = [_narrow(fields[name], entry) for name in fields if name not in given]
    required = Annotated[str, Meta(min_length=1, max_length=4000, pattern=r"^[^\x00]*$")]
    path = [(name, required) for name in places]
    return Inputs(
        _define(f"{entry.name}Path", path),
        _define(f"{entry.name}Query", [] if entry.has_body else rest),
        _define(f"{entry.name}Body", rest if entry.has_body else []),
    )


def _define(name: str, fields: list[Any]) -> type[msgspec.Struct]:
    return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)


def _narrow(field: msgspec.structs.FieldInfo, entry: Entry) -> tuple[Any, ...]:
    kind = BOUNDS.get(field.name, _narrow_text(field.type))
    if not entry.has_body and get_origin(kind) in {Union, UnionType}:
        kind = Union[tuple(each for each in get_args(kind) if each is not NoneType)]  # noqa: UP007 - of a list
    if field.required:
        return field.name, kind
    if field.default_factory is not msgspec.NODEFAULT:
        return field.name, kind, msgspec.field(default_factory=field.default_factory)
    return field.name, kind, min(field.default, _MOST) if field.name == "limit" else field.default


def _narrow_text(kind: Any) -> Any:
    if kind is str:
        return _TEXT
    if get_origin(kind) in {Union, UnionType} and set(get_args(kind)) == {str, NoneType}:
        return _TEXT | None
    return kind


def read_path(entry: Entry, places: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a path.

    Raises
    ------
    Invalid
        API-003 when one is too long or holds what no name holds.
    """
    return _convert(dict(places), find_inputs(entry).path, "path")


def read_query(entry: Entry, query: QueryParams) -> dict[str, Any]:
    """Return the fields of a query.

    Raises
    ------
    Invalid
        API-003 for a parameter that the route does not know, that stands there twice, or that has
        no such value.
    """
    values = _read_once(query)
    for name in RESERVED:
        values.pop(name, None)
    return _convert(values, find_inputs(entry).query, "query")


def check_parameters(query: QueryParams) -> None:
    """Refuse a query that holds more than the name of a project.

    Raises
    ------
    Invalid
        API-003.
    """
    unknown = next((name for name in query if name != "project"), None)
    if unknown is not None:
        raise Invalid("API-003", f"there is no parameter {unknown[:40]!r} here")
    _read_once(query)


def read_body(entry: Entry, content: bytes) -> dict[str, Any]:
    """Return the fields of a body of JSON; nothing at all stands for ``{}``.

    Raises
    ------
    Invalid
        API-008 when it is no such JSON.
    """
    kind = find_inputs(entry).body
    try:
        read = msgspec.json.decode(content or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise Invalid("API-008", f"the body of {entry.method} {entry.path}: {fault}") from None
    except RecursionError:
        raise Invalid("API-008", f"lists lie in each other more than {MOST_DEPTH} deep") from None
    fields = {name: getattr(read, name) for name in kind.__struct_fields__}
    check_depth(fields)
    return fields


def make_command(entry: Entry, fields: Mapping[str, Any]) -> Command:
    """Return the command of a route's fields."""
    return (entry.build or entry.command)(**entry.fixed, **fields)


def check_depth(value: Any) -> None:
    """Refuse values that lie in each other so deep that reading them could crash something.

    Raises
    ------
    Invalid
        API-008.
    """
    level = [value]
    for _ in range(MOST_DEPTH):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below.extend(each.values())
            elif isinstance(each, list | tuple):
                below.extend(each)
            elif isinstance(each, msgspec.Struct):
                below.extend(getattr(each, name) for name in each.__struct_fields__)
        level = [each for each in below if isinstance(each, dict | list | tuple | msgspec.Struct)]
        if not level:
            return
    raise Invalid("API-008", f"lists and dictionaries lie in each other more than {MOST_DEPTH} deep")


def check_key(text: str) -> str:
    """Return an idempotency key of a request.

    Raises
    ------
    Invalid
        API-012 when it is too long or holds anything but visible ASCII.
    """
    if not _KEY.fullmatch(text):
        raise Invalid("API-012", f"Idempotency-Key has {len(text)} characters, or others than visible ASCII")
    return text


def _convert(values: dict[str, Any], kind: type[msgspec.Struct], place: str) -> dict[str, Any]:
    try:
        read = msgspec.convert(values, kind, strict=False)
    except (msgspec.ValidationError, UnicodeError) as fault:
        raise Invalid("API-003", f"the {place}: {fault}") from None
    return {name: getattr(read, name) for name in kind.__struct_fields__}


def _read_once(query: QueryParams) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in query.multi_items():
        if name in values:
            raise Invalid("API-003", f"{name[:40]} stands in the query twice")
        values[name] = value
    if not _PROJECT.fullmatch(values.get("project", DEFAULT_PROJECT)):
        raise Invalid("API-003", f"{values['project'][:60]!r} is no name of a project")
    return values
