"""Searches of registered models and their versions: conditions and orders as SQL, in pages."""

from __future__ import annotations

import base64
import binascii
import hashlib
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from mainspring.domain.conditions import Condition, Grammar, parse_conditions, parse_orders
from mainspring.domain.errors import Invalid
from mainspring.domain.grammars import MODEL_VERSIONS, REGISTERED_MODELS
from mainspring.domain.lists import refuse_page
from mainspring.domain.registry import SearchModels, SearchVersions
from mainspring.store.deletions import is_here
from mainspring.store.tables import registered_models, versions
from mainspring.store.words import ColumnElement, Connection, Table, func, like_exactly, not_, select, text_of

_COMPARE: dict[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "LIKE": like_exactly,
    "ILIKE": lambda text, pattern: func.lower(text).like(pattern.lower()),
    "IN": lambda text, values: text.in_(values),
    "NOT IN": lambda text, values: text.not_in(values),
}
MOST = 1_000
_PROMPT = "mlflow.prompt.is_prompt"


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: in which search, and after how many."""

    search: bytes
    after: int


def search_models(connection: Connection, project: str, wanted: SearchModels) -> tuple[list[str], str | None]:
    """Return the names of a page of registered models, and what names the next page.

    Raises
    ------
    Invalid
        RUN-014 for a filter or order that cannot be read; RUN-013 when the page is none of this search.
    """
    names = registered_models.c
    fields = {
        "name": names.name,
        "creation_timestamp": names.created_at,
        "last_updated_timestamp": names.changed_at,
    }
    place = _Table(registered_models, REGISTERED_MODELS, names.name, fields, (names.name.asc(),))
    return _search(connection, place, wanted, names.project == project, is_here(names.id))


def search_versions(connection: Connection, project: str, wanted: SearchVersions) -> tuple[list[str], str | None]:
    """Return the ids of a page of versions of models, and what names the next page; it raises as `search_models`."""
    names = versions.c
    fields = {
        "name": names.name,
        "version_number": names.number,
        "run_id": names.run_id,
        "source_path": text_of(names.details, "source"),
        "creation_timestamp": names.created_at,
        "last_updated_timestamp": func.coalesce(names.changed_at, names.created_at),
    }
    place = _Table(versions, MODEL_VERSIONS, names.id, fields, (names.name.asc(), names.number.desc()))
    return _search(connection, place, wanted, names.kind == "model", names.project == project, is_here(names.id))


class _Table(NamedTuple):
    """Where is searched, by which words, and what is told.

    `last` orders what a search leaves open.
    """

    table: Table
    grammar: Grammar
    told: ColumnElement[str]
    fields: Mapping[str, ColumnElement[Any]]
    last: Sequence[ColumnElement[Any]]


def _search(
    connection: Connection, place: _Table, wanted: SearchModels | SearchVersions, *here: ColumnElement[bool]
) -> tuple[list[str], str | None]:
    if not 1 <= wanted.limit <= MOST:
        what = f"{type(wanted).__name__} asks for {wanted.limit:,} at once; from 1 to {MOST:,} are given"
        raise Invalid("API-025", what, limit=wanted.limit, most=MOST)
    conditions = parse_conditions(wanted.filter, place.grammar)
    orders = parse_orders(list(wanted.order_by), place.grammar)
    asked = [type(wanted).__name__, wanted.filter, wanted.order_by]
    search = hashlib.sha256(msgspec.json.encode(asked)).digest()[:8]
    after = _read_place(wanted.page, search)
    where = [_compare(place, each) for each in conditions]
    if not any(_asks_prompts(each) for each in conditions):
        where.append(not_(_is_prompt(place.table)))
    by = [place.fields[each.key].desc() if each.descending else place.fields[each.key].asc() for each in orders]
    query = select(place.told).where(*here, *where).order_by(*by, *place.last)
    found = [str(each) for (each,) in connection.execute(query.offset(after).limit(wanted.limit + 1))]
    if len(found) <= wanted.limit:
        return found, None
    following = msgspec.msgpack.encode(_Place(search, after + wanted.limit))
    return found[: wanted.limit], base64.urlsafe_b64encode(following).decode()


def _compare(place: _Table, condition: Condition) -> ColumnElement[bool]:
    if condition.kind == "tag" and condition.key == _PROMPT:
        prompts = _is_prompt(place.table)
        return prompts if _asks_prompts(condition) else not_(prompts)
    if condition.kind == "tag":
        return _COMPARE[condition.sign](text_of(place.table.c.tags, condition.key), condition.value)
    return _COMPARE[condition.sign](place.fields[condition.key], condition.value)


def _is_prompt(table: Table) -> ColumnElement[bool]:
    return func.coalesce(func.lower(text_of(table.c.tags, _PROMPT)), "") == "true"


def _asks_prompts(condition: Condition) -> bool:
    """Tell whether a condition asks for what is hidden else: prompts of MLflow's, which are no models."""
    if condition.kind != "tag" or condition.key != _PROMPT:
        return False
    return (condition.sign, str(condition.value).lower()) in {("=", "true"), ("!=", "false")}


def _read_place(page: str, search: bytes) -> int:
    if not page:
        return 0
    try:
        place = msgspec.msgpack.decode(base64.urlsafe_b64decode(page.encode()), type=_Place)
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        raise refuse_page(page) from None
    if place.search != search or not 0 <= place.after < 2**40:
        raise refuse_page(page)
    return place.after
