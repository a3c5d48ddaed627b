"""Runs that MLflow's clients search for: found in pages, and read whole with few statements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mainspring.domain.conditions import parse_conditions, parse_orders
from mainspring.domain.experiments import DatasetInput, ModelUse
from mainspring.domain.grammars import RUNS
from mainspring.domain.searches import USER, FindRuns, FoundRun, FoundRuns
from mainspring.store.deletions import is_here
from mainspring.store.findings import Finder, after
from mainspring.store.pages import read_page, write_page
from mainspring.store.series import read_keys, read_value
from mainspring.store.statements import Statement, pack_ids, unpack_ids, unpack_numbers
from mainspring.store.tables import (
    dataset_inputs,
    deletions,
    latest,
    model_uses,
    runs,
    series_keys,
    told_datasets,
)
from mainspring.store.words import ColumnElement, Connection, Text, and_, func, literal_column, select, type_coerce

_NAMED = runs.c.experiment != literal_column("''")
"""The index of experiments has no runs without one, which SQLite must be told."""

_SHARE = 4
_RUNS = Statement(
    select(
        runs.c.seq,
        runs.c.id,
        runs.c.name,
        runs.c.state,
        runs.c.experiment,
        runs.c.principal,
        runs.c.created_at,
        runs.c.started_at,
        runs.c.ended_at,
        deletions.c.deleted_at,
        type_coerce(runs.c.params, Text),
        type_coerce(runs.c.tags, Text),
    )
    .outerjoin(deletions, deletions.c.id == runs.c.id)
    .where(runs.c.id.in_(unpack_ids("ids")))
)
_of_runs = unpack_numbers("numbers")
_LATEST = Statement(
    select(latest.c.run, latest.c.key, latest.c.step, latest.c.time, read_value(latest)).where(
        latest.c.run.in_(_of_runs)
    )
)
_NAMES = Statement(select(series_keys.c.id, series_keys.c.key).where(series_keys.c.id.in_(unpack_numbers("keys"))))
_INPUTS = Statement(
    select(
        dataset_inputs.c.run,
        *(told_datasets.c[name] for name in DatasetInput.__struct_fields__[:-1]),
        dataset_inputs.c.tags,
    )
    .join_from(dataset_inputs, told_datasets, told_datasets.c.seq == dataset_inputs.c.dataset)
    .where(dataset_inputs.c.run.in_(_of_runs))
    .order_by(told_datasets.c.seq)
)
_USES = Statement(
    select(model_uses.c.run, model_uses.c.kind, model_uses.c.model_id, model_uses.c.step)
    .where(model_uses.c.run.in_(_of_runs))
    .order_by(model_uses.c.kind, model_uses.c.step, model_uses.c.model_id)
)


def find_runs(connection: Connection, project: str, wanted: FindRuns, numbers: Mapping[str, int]) -> FoundRuns:
    """Find runs as MLflow's clients ask for them.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    project : str
        Its name.
    wanted : FindRuns
        Experiments, filter, orders, page.
    numbers : mapping of str to int
        Name of each experiment that is searched -> its number.

    Returns
    -------
    FoundRuns
        In the orders that were asked for, then the newest first, then by id; those without a value of
        an order last, those whose value is not a number before them.

    Raises
    ------
    Invalid
        RUN-014 for a filter or an order that cannot be read, RUN-013 for a page that is none or belongs
        to another search.

    Notes
    -----
    Guarantees: as those of `mainspring.store.search.search_runs`.
    """
    if not numbers:
        return FoundRuns([])
    search = _Search(connection, project, wanted, numbers)
    rows = search.find()
    shown = rows[: wanted.limit]
    following = write_page(search.named, list(shown[-1][1:])) if len(rows) > wanted.limit else None
    return FoundRuns(read_runs(connection, [str(row[0]) for row in shown], numbers), following)


class _Search:
    """One search: rows of (id, *place), the place of each as its orders have it."""

    def __init__(self, connection: Connection, project: str, wanted: FindRuns, numbers: Mapping[str, int]) -> None:
        self._connection = connection
        self._project = project
        self._wanted = wanted
        self._numbers = numbers
        self._conditions = parse_conditions(wanted.filter, RUNS)
        self._orders = parse_orders(list(wanted.order_by), RUNS)
        self.named = (project, sorted(numbers.values()), wanted.filter, wanted.order_by, wanted.shown)
        names = {USER, *(each.key for each in self._conditions), *(each.key for each in self._orders)}
        self._keys = read_keys(connection, names)
        self._place = read_page(wanted.page, self.named, self._describe()) if wanted.page else None

    def find(self) -> list[Any]:
        """Return one row more than is wanted, where there is one."""
        most, place = self._wanted.limit + 1, self._place
        first = self._orders[0] if self._orders else None
        if first is None or first.kind != "metric" or (place and place[0]) or not self._is_most():
            return self._select(most)
        rows = [(row[0], 0, *row[1:]) for row in self._select(most, ranked=True)]
        return rows if len(rows) == most else rows + self._select(most - len(rows), rest=True)

    def _describe(self) -> tuple[type, ...]:
        keys = self._start().order(self._orders)
        return tuple(kind for key in keys for kind in ((int, key.like) if key.rank is not None else (key.like,)))

    def _start(self) -> Finder:
        places = {name: f"mlflow-artifacts:/{number}/" for name, number in self._numbers.items()}
        return Finder(self._connection, places, self._keys)

    def _among(self) -> list[ColumnElement[bool]]:
        names = sorted(self._numbers)
        of_them = runs.c.experiment.in_(names) if len(names) > 1 else runs.c.experiment == names[0]
        return [runs.c.project == self._project, of_them]

    def _is_most(self) -> bool:
        """Tell whether the experiments hold so many of all runs that an index of all will do."""
        mine = select(func.count()).select_from(runs).where(*self._among(), _NAMED).scalar_subquery()
        count, last = self._connection.execute(select(mine, func.max(runs.c.seq))).one()
        return bool(count * _SHARE >= (last or 0))

    def _select(self, most: int, *, ranked: bool = False, rest: bool = False) -> list[Any]:
        finder = self._start()
        keys = finder.order(self._orders, ranked=ranked)
        where = [*self._among(), *map(finder.compile, self._conditions), finder.held]
        if not ranked:  # else that index would be taken
            where.append(_NAMED)
        if self._wanted.shown != "all":
            here = is_here(runs.c.id)
            where.append(here if self._wanted.shown == "active" else ~here)
        if rest:
            assert keys[0].rank is not None
            where.append(keys[0].rank > 0)
        elif self._place is not None:
            where.append(after(keys, self._place[1:] if ranked else self._place))
        columns = [each for key in keys for each in (key.rank, key.value) if each is not None]
        ordered: list[Any] = []
        for key in keys:
            ordered += [] if key.rank is None else [key.rank]
            value = key.value.desc() if key.descending else key.value.asc()
            ordered.append(value.nulls_last() if key.nulls else value)
        query = select(runs.c.id, *columns).select_from(finder.source).where(and_(*where)).order_by(*ordered)
        return [*self._connection.execute(query.limit(most))]


def read_runs(connection: Connection, ids: Sequence[str], numbers: Mapping[str, int]) -> list[FoundRun]:
    """Return runs with what was logged of them, in the order of their ids.

    Notes
    -----
    Cost: five statements whatever their number; texts of parameters and tags are not looked into.
    """
    found: dict[str, FoundRun] = {}
    by_number: dict[int, FoundRun] = {}
    for row in _RUNS.all(connection, ids=pack_ids(ids)):
        number, run_id, name, state, experiment, principal, created_at, started_at, ended_at, deleted_at, *texts = row
        by_number[number] = found[run_id] = FoundRun(
            run_id,
            name,
            state,
            numbers[experiment],
            principal,
            created_at if started_at is None else started_at,
            ended_at,
            deleted_at is not None,
            texts[0] or "{}",
            texts[1] or "{}",
            [],
        )
    given = {"numbers": pack_ids([*by_number])}
    last = _LATEST.all(connection, **given)
    names = dict(map(tuple, _NAMES.all(connection, keys=pack_ids([*{row[1] for row in last}]))))
    points = {number: run.latest for number, run in by_number.items()}
    for number, key, step, time, value in last:
        points[number].append((names[key], step, time, math.nan if value is None else value))
    for number, *told in _INPUTS.all(connection, **given):
        run = by_number[number]
        run.datasets = [*run.datasets, DatasetInput(*told)]
    for number, kind, model_id, step in _USES.all(connection, **given):
        run, use = by_number[number], ModelUse(model_id, step)
        if kind == "read":
            run.read = [*run.read, use]
        else:
            run.made = [*run.made, use]
    return [found[run_id] for run_id in ids]
