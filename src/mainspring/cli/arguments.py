"""Arguments of a function as they are typed, ``NAME=VALUE``, by the kinds that its signature names."""

from __future__ import annotations

import enum
import inspect
import json
import types
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import click
import msgspec

from mainspring.domain.errors import Invalid, MainspringError
from mainspring.domain.near import suggest

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_NOTHING = frozenset({"none", "null", ""})


class _Unfit(Exception):
    """A text that is none of a kind; its own text says what was wanted."""


def read_tags(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Read what was typed for tags: those to set, and the names of those to remove.

    Parameters
    ----------
    words : sequence of str
        ``NAME=TEXT``, or ``NAME-``.

    Raises
    ------
    UsageError
        A word that is neither.

    Examples
    --------
    >>> read_tags(["team=sky", "draft-"])
    ({'team': 'sky'}, ['draft'])
    """
    changes: dict[str, str] = {}
    remove = []
    for each in words:
        name, sign, text = each.partition("=")
        if sign:
            changes[name] = text
        elif each.endswith("-"):
            remove.append(each[:-1])
        else:
            raise click.UsageError(f"{each!r} is neither NAME=TEXT nor NAME-")
    return changes, remove


def read_arguments(function: Callable[..., Any], words: Sequence[str]) -> dict[str, Any]:
    """Read what was typed for the parameters of a function.

    Parameters
    ----------
    function : callable
        A function, step or pipeline. Its annotations say what a text becomes: a number, a bool,
        text, a path, a time, a literal, an enum's member, a handle such as `Dataset`; JSON for
        lists, dicts and dataclasses. Without an annotation it is JSON, or else text.
    words : sequence of str
        ``NAME=VALUE``.

    Returns
    -------
    dict of str to object
        By name; what was not typed is left to its default.

    Raises
    ------
    UsageError
        A word that is not NAME=VALUE, a name that the function does not have, or none for a
        parameter without a default.
    Invalid
        CLI-010 for a value that is not of its parameter's kind.
    """
    signature = inspect.signature(function)
    hints = read_hints(function)
    values: dict[str, Any] = {}
    for word in words:
        name, mark, text = word.partition("=")
        if not mark or not name.isidentifier():
            raise click.UsageError(f"{word!r} is not NAME=VALUE")
        if name in values:
            raise click.UsageError(f"{name} is given twice")
        values[name] = read_argument(function, name, text, hints.get(name, Any))
    try:
        signature.bind(**values)
    except TypeError as fault:
        name = getattr(function, "__name__", "it")
        raise click.UsageError(f"{name} takes other arguments: {fault}{_advise(signature, values)}") from None
    return values


def read_argument(function: Callable[..., Any], name: str, text: str, kind: Any) -> Any:
    """Make of a text what the annotation of a parameter asks for.

    Raises
    ------
    Invalid
        CLI-010 when the text is none of this kind.
    """
    try:
        return convert(text, kind)
    except (_Unfit, MainspringError) as fault:
        what = fault.what if isinstance(fault, MainspringError) else f"{name}={text!r} is no {fault}"
        why = f"{getattr(function, '__name__', 'the function')} takes {name}: {_name(kind)}"
        raise Invalid("CLI-010", what, why=why, argument=name) from None


def convert(text: str, kind: Any) -> Any:
    """Make of a text what an annotation asks for.

    Raises
    ------
    Exception
        When the text is none of this kind; its own text says what it is not.
    """
    origin = get_origin(kind)
    if kind in {Any, object, inspect.Parameter.empty}:
        return _read_json(text, text)
    if origin is Annotated:
        return convert(text, get_args(kind)[0])
    if origin in {Union, types.UnionType}:
        return _convert_union(text, get_args(kind))
    if origin is Literal:
        for value in get_args(kind):
            if text == str(value):
                return value
        raise _Unfit(f"one of {', '.join(map(str, get_args(kind)))}")
    if kind in _READERS:
        return _convert_plain(text, kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _convert_member(text, kind)
    if isinstance(kind, type) and (issubclass(kind, Path) or _is_handle(kind)):
        return kind(text)
    return _convert_json(text, kind)


def _convert_union(text: str, kinds: tuple[Any, ...]) -> Any:
    if types.NoneType in kinds and text.lower() in _NOTHING:
        return None
    # Text takes whatever the others refuse, so it is asked last.
    others = sorted((kind for kind in kinds if kind is not types.NoneType), key=lambda kind: kind is str)
    refusals = []
    for kind in others:
        try:
            return convert(text, kind)
        except _Unfit as fault:
            refusals.append(str(fault))
    raise _Unfit(" and no ".join(refusals))


def _convert_plain(text: str, kind: Any) -> Any:
    wanted, read = _READERS[kind]
    try:
        return read(text)
    except ValueError:
        raise _Unfit(wanted) from None


def _convert_member(text: str, kind: type[enum.Enum]) -> Any:
    for member in kind:
        if text in {member.name, str(member.value)}:
            return member
    raise _Unfit(f"one of {', '.join(member.name for member in kind)}")


def _convert_json(text: str, kind: Any) -> Any:
    found = _read_json(text, _MISSING)
    if found is _MISSING:
        raise _Unfit(f"JSON for {_name(kind)}")
    try:
        return msgspec.convert(found, kind, dec_hook=_convert_inner)
    except msgspec.ValidationError as fault:
        raise _Unfit(f"{_name(kind)}: {fault}") from None
    except TypeError:  # msgspec knows no such kind
        raise _Unfit(_UNTYPED) from None


def _convert_inner(kind: Any, value: Any) -> Any:
    if isinstance(value, str) and isinstance(kind, type) and (issubclass(kind, Path) or _is_handle(kind)):
        return kind(value)
    raise _Unfit(_UNTYPED)


def _read_json(text: str, default: Any) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return default


def _read_bool(text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ValueError(text)


def read_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function by name; none when they name what only a type checker knows."""
    plain = inspect.unwrap(function)
    try:
        return get_type_hints(plain, include_extras=True)
    except Exception:  # noqa: BLE001 - names that only a type checker knows: then all counts as without annotation
        return {}


def _is_handle(kind: type) -> bool:
    # By its name: the classes themselves are as heavy to load as the whole library.
    return kind.__module__.startswith("mainspring.sdk.") and kind.__name__ in {"Dataset", "Model", "Service", "Run"}


def _name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind).replace("typing.", "")


def _advise(signature: inspect.Signature, values: dict[str, Any]) -> str:
    """Name the nearest of the names that were typed wrong, and all that can be typed."""
    unknown = next((name for name in values if name not in signature.parameters), None)
    near = suggest(unknown, signature.parameters) if unknown else ""
    hint = f"; did you mean {near}?" if near else ""
    return f"{hint}; it takes {signature.replace(return_annotation=inspect.Signature.empty)}"


_MISSING = object()
_UNTYPED = "value that can be typed; write a file that makes it and calls the function"
_READERS: dict[Any, tuple[str, Callable[[str], Any]]] = {
    str: ("text", str),
    int: ("whole number", int),
    float: ("number", float),
    complex: ("complex number", complex),
    bytes: ("text", str.encode),
    bool: ("true or false", _read_bool),
    datetime: ("time, such as 2026-11-01T09:30", datetime.fromisoformat),
    date: ("day, such as 2026-11-01", date.fromisoformat),
    type(None): ("null", json.loads),
}
