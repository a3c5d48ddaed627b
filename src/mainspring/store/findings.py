"""Searches of MLflow's clients as SQL: conditions as semi-joins on what runs are found by, orders as keys of pages."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from mainspring.domain.conditions import ABSENT, LISTED, Condition, Order
from mainspring.domain.searches import SHOWN_STATES, USER
from mainspring.store.tables import (
    dataset_inputs,
    latest,
    param_values,
    runs,
    tag_values,
    told_datasets,
)
from mainspring.store.words import (
    ColumnElement,
    Connection,
    Float,
    FromClause,
    Select,
    Table,
    Text,
    and_,
    case,
    cast,
    collate,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    true,
    type_coerce,
)

_COMPARE: dict[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TABLES: dict[str, Table] = {"metric": latest, "parameter": param_values, "tag": tag_values}
_FAR = sys.float_info.max
"""Whole numbers beyond floats are compared as this one."""

_GLOB = str.maketrans({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"})


class Key(NamedTuple):
    """One of the values that runs are ordered by: first its rank, then it.

    Attributes
    ----------
    rank : ColumnElement or None
        0 for a value, more for what comes after all values; None: NULL comes last by itself.
    value : ColumnElement
        Never NULL where there is a rank.
    descending : bool
        Of the value; ranks always ascend.
    like : type
        float or str.
    nulls : bool
        It may be NULL.
    """

    rank: ColumnElement[Any] | None
    value: ColumnElement[Any]
    descending: bool
    like: type
    nulls: bool = False


class Finder:
    """Makes the parts of one search.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    places : mapping of str to str
        Name of an experiment -> where artifacts of its runs lie, up to the id of the run.
    keys : mapping of str to int
        Name of each metric, parameter and tag of conditions and orders -> its number, and that of `USER`.
    """

    def __init__(self, connection: Connection, places: Mapping[str, str], keys: Mapping[str, int]) -> None:
        self._postgresql = connection.dialect.name == "postgresql"
        self._places = places
        self._keys = keys
        self.source: FromClause = runs
        self.held: ColumnElement[bool] = true()

    def compile(self, condition: Condition) -> ColumnElement[bool]:
        """Return a condition as SQL."""
        if condition.kind == "attribute":
            return self._compare(self._read_attribute(condition.key), condition)
        if condition.kind == "dataset":
            return self._compile_dataset(condition)
        table = _TABLES[condition.kind]
        found = exists().where(table.c.run == runs.c.seq, table.c.key == self._find(condition.key))
        if condition.sign in ABSENT:
            return ~found if condition.sign == "IS NULL" else found
        if condition.kind != "metric":
            return found.where(self._compare(self._collate(table.c.text), condition))
        # What is not a number differs from every number, and fulfils nothing else.
        held = self._compare(table.c.value, condition)
        return found.where(or_(held, table.c.nan) if condition.sign == "!=" else and_(held, ~table.c.nan))

    def order(self, orders: Sequence[Order], *, ranked: bool = False) -> list[Key]:
        """Return what runs are ordered by, ending with what no two runs share.

        With `ranked` those only are found that have a number for the first order, which is a metric: an index has them
        in that order.
        """
        keys = [self._rank(orders[0])] if ranked else []
        keys += [self._order(each) for each in orders[len(keys) :]]
        if not any((each.kind, each.key) == ("attribute", "start_time") for each in orders):
            keys.append(Key(None, runs.c.started_at, True, float, True))
        return [*keys, Key(None, runs.c.id, False, str)]

    def _order(self, order: Order) -> Key:
        if order.kind == "attribute":
            if order.key == "start_time":
                return Key(None, runs.c.started_at, order.descending, float, True)
            value, empty = self._read_attribute(order.key), 0.0 if order.key == "end_time" else ""
            rank = case((value.is_(None), 1), else_=0)
            return Key(rank, func.coalesce(value, empty), order.descending, type(empty))
        table = _TABLES[order.kind].alias()
        joined = and_(table.c.run == runs.c.seq, table.c.key == self._find(order.key))
        self.source = self.source.outerjoin(table, joined)
        if order.kind == "metric":
            rank = case((table.c.nan, 1), (table.c.value.is_(None), 2), else_=0)
            return Key(rank, func.coalesce(table.c.value, 0.0), order.descending, float)
        rank = case((table.c.text.is_(None), 1), else_=0)
        return Key(rank, self._collate(func.coalesce(table.c.text, "")), order.descending, str)

    def _rank(self, order: Order) -> Key:
        table = latest.alias()
        self.source = table.join(runs, runs.c.seq == table.c.run)
        self.held = and_(table.c.key == self._find(order.key), ~table.c.nan)
        return Key(None, table.c.value, order.descending, float)

    def _find(self, name: str) -> int:
        return int(self._keys.get(name, -1))  # a name that nobody has logged

    def _read_attribute(self, key: str) -> ColumnElement[Any]:
        if key == "start_time":
            return func.round(func.coalesce(runs.c.started_at, runs.c.created_at) * 1000)
        if key == "end_time":
            return func.round(runs.c.ended_at * 1000)
        if key == "status":
            return case(*((runs.c.state == ours, theirs) for ours, theirs in SHOWN_STATES.items()), else_="")
        if key == "artifact_uri":
            place = case(
                *((runs.c.experiment == name, literal(place)) for name, place in self._places.items()), else_=""
            )
            return self._collate(place + cast(runs.c.id, Text) + "/artifacts")
        if key == "user_id":
            tagged = select(tag_values.c.text).where(
                tag_values.c.run == runs.c.seq, tag_values.c.key == self._find(USER)
            )
            spoke = runs.c.principal
            colon = (func.strpos if self._postgresql else func.instr)(spoke, ":")
            bare = case((colon > 0, func.substr(spoke, colon + 1)), else_=spoke)
            return self._collate(func.coalesce(tagged.correlate(runs).scalar_subquery(), bare))
        return self._collate(runs.c.name if key == "run_name" else runs.c.id)

    def _compile_dataset(self, condition: Condition) -> ColumnElement[bool]:
        read: Select[Any] = (
            select(literal(1))
            .select_from(dataset_inputs)
            .join(told_datasets, told_datasets.c.seq == dataset_inputs.c.dataset)
            .where(dataset_inputs.c.run == runs.c.seq)
            .correlate(runs)
        )
        if condition.key == "context":
            return read.where(self._compare(self._read_context(), condition)).exists()
        return read.where(self._compare(self._collate(told_datasets.c[condition.key]), condition)).exists()

    def _read_context(self) -> ColumnElement[Any]:
        tags = type_coerce(dataset_inputs.c.tags, Text)
        if self._postgresql:
            return self._collate(tags.op("::json ->>", precedence=20)("mlflow.data.context"))
        return func.json_extract(tags, '$."mlflow.data.context"')

    def _compare(self, value: ColumnElement[Any], condition: Condition) -> ColumnElement[bool]:
        sign, given = condition.sign, condition.value
        if sign in LISTED:
            assert isinstance(given, tuple)
            found = value.in_(given)
            return found if sign == "IN" else ~found
        if sign in {"LIKE", "ILIKE"}:
            return self._like(value, str(given), folded=sign == "ILIKE")
        if isinstance(given, int | float):
            given = float(max(-_FAR, min(given, _FAR))) if isinstance(given, int) else given
            value = cast(value, Float)
        return _COMPARE[sign](value, given)

    def _like(self, value: ColumnElement[Any], pattern: str, *, folded: bool) -> ColumnElement[bool]:
        if self._postgresql:
            return value.op("ILIKE" if folded else "LIKE", is_comparison=True)(pattern.replace("\\", "\\\\"))
        if folded:
            return value.op("LIKE", is_comparison=True)(pattern)
        return value.op("GLOB", is_comparison=True)(pattern.translate(_GLOB))  # LIKE would fold letters here

    def _collate(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        return collate(column, "C") if self._postgresql else column


def after(keys: Sequence[Key], place: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition that a run stands behind a place: for each key its rank, if it has any, and its value."""
    if not keys:
        return false()
    key, rest = keys[0], list(place)
    rank = rest.pop(0) if key.rank is not None else None
    value = rest.pop(0)
    inner = after(keys[1:], rest)
    if key.rank is None:
        if value is None:
            return and_(key.value.is_(None), inner)
        beyond = key.value < value if key.descending else key.value > value
        if not key.nulls:  # an index begins there, which an OR alone does not tell it
            bound = key.value <= value if key.descending else key.value >= value
            return and_(bound, or_(beyond, inner))
        return or_(beyond, key.value.is_(None), and_(key.value == value, inner))
    beyond = key.value < value if key.descending else key.value > value
    return or_(key.rank > rank, and_(key.rank == rank, or_(beyond, and_(key.value == value, inner))))
