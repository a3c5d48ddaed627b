"""Requests of MLflow's clients as structs: read fast when they are in order, explained in MLflow's words when not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin

import msgspec
from starlette.datastructures import QueryParams

from mainspring.api.mlflow.errors import MlflowError

_SEE = " See the API docs for more information about request parameters."
_MOST_SHOWN = 1000

Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""An int64 of the protocol."""


class Wanted(msgspec.Struct, kw_only=True):
    """A request's fields: each may be missing, numbers may come as texts, and what is not known is ignored.

    Attributes
    ----------
    REQUIRED : tuple of str
        Fields that must be there and not empty.
    """

    REQUIRED: ClassVar[tuple[str, ...]] = ()


class OfRun(Wanted, kw_only=True):
    """A request about one run; old clients call its id ``run_uuid``."""

    REQUIRED: ClassVar[tuple[str, ...]] = ("run_id",)
    run_id: str = ""
    run_uuid: str = ""

    def __post_init__(self) -> None:
        """Take the old name."""
        if not self.run_id:
            self.run_id = self.run_uuid


R = TypeVar("R", bound=Wanted)


def read_json(kind: type[R], content: bytes) -> R:
    """Read a body of JSON.

    Parameters
    ----------
    kind : type of Wanted
        What is asked.
    content : bytes
        Empty: no field is given.

    Raises
    ------
    MlflowError
        INVALID_PARAMETER_VALUE, in MLflow's words.
    """
    try:
        found: R = _decoder(kind).decode(content or b"{}")
    except (msgspec.DecodeError, RecursionError):
        found = _read_slowly(kind, content)
    _check_required(found)
    return found


def read_query(kind: type[R], query: QueryParams) -> R:
    """Read the parameters of a query; errors are those of `read_json`."""
    lists = _list_fields(kind)
    given: dict[str, Any] = {name: query.getlist(name) if name in lists else query[name] for name in query}
    return _convert(kind, given)


def missing(name: str) -> MlflowError:
    """Return the refusal of a request that lacks a field."""
    return MlflowError(f"Missing value for required parameter '{name}'.{_SEE}")


def invalid(name: str, value: Any, why: str = "") -> MlflowError:
    """Return the refusal of a field's value; `why` stands behind a colon."""
    shown = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)[:_MOST_SHOWN]
    return MlflowError(f"Invalid value {shown} for parameter '{name}' supplied{f': {why}' if why else '.'}")


def too_long(name: str, most: int) -> MlflowError:
    """Return the refusal of a text that is too long."""
    return MlflowError(f"'{name}' exceeds the maximum length of {most} characters")


def _read_slowly(kind: type[R], content: bytes) -> R:
    """Read what the strict reader refused: a NaN that is bare, or a field of a wrong type to be named."""
    try:
        given = json.loads(content)
    except (ValueError, RecursionError):
        given = {}  # so does MLflow: what is no JSON has no fields
    if isinstance(given, str):  # old clients encode twice
        try:
            given = json.loads(given)
        except ValueError:
            given = {}
    return _convert(kind, given if isinstance(given, dict) else {})


def _convert(kind: type[R], given: dict[str, Any]) -> R:
    for field in msgspec.structs.fields(kind):
        value = given.get(field.name)
        if value is None:
            given.pop(field.name, None)  # null is nothing
            continue
        try:
            msgspec.convert(value, field.type, strict=False)
        except (msgspec.ValidationError, RecursionError) as fault:
            raise _explain(field.name, value, str(fault)) from None
    found = msgspec.convert(given, kind, strict=False)
    _check_required(found)
    return found


def _explain(name: str, value: Any, fault: str) -> MlflowError:
    """Name the field, or the part of a list, that has a wrong type."""
    _, _, path = fault.partition(" - at `$")
    path = path.rstrip("`")
    if path:
        inner = _follow(value, path)
        error = invalid(name + path, inner, f" Hint: Value was of type '{type(inner).__name__}'.")
    else:
        error = invalid(name, value, f" Hint: Value was of type '{type(value).__name__}'.")
    return MlflowError(error.message + _SEE)


def _follow(value: Any, path: str) -> Any:
    for part in path.replace("[", ".").replace("]", "").split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal():
            value = value[int(part)]
    return value


def _check_required(found: Wanted) -> None:
    for name in found.REQUIRED:
        value = getattr(found, name)
        if value is None or value == "":
            raise missing(name)


@cache
def _decoder(kind: type[R]) -> msgspec.json.Decoder[R]:
    return msgspec.json.Decoder(kind, strict=False)


@cache
def _list_fields(kind: type[Wanted]) -> frozenset[str]:
    return frozenset(field.name for field in msgspec.structs.fields(kind) if _is_list(field.type))


def _is_list(kind: Any) -> bool:
    if get_origin(kind) in {Union, UnionType}:
        return any(_is_list(each) for each in get_args(kind))
    return kind is list or get_origin(kind) is list
