"""What was logged of a run, read as a whole, and what a batch must know of it before it is added."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

from mainspring.domain.experiments import DatasetInput, DatasetSummary, LoggedRun, ModelUse
from mainspring.domain.records import Run
from mainspring.store.runs import HELD, Hold, no_run, split_held
from mainspring.store.series import read_value
from mainspring.store.statements import Statement, add_once, pack_ids, unpack_ids
from mainspring.store.tables import (
    dataset_inputs,
    deletions,
    experiments,
    latest,
    model_uses,
    runs,
    series_keys,
    told_datasets,
)
from mainspring.store.words import Connection, and_, bindparam, exists, insert, select, true

CONTEXT = "mlflow.data.context"
"""Tag of a reading that says what the dataset was read for."""


class Place(NamedTuple):
    """Where points of a run go.

    Attributes
    ----------
    seq : int
        The run's number inside the file.
    kind : str
        Of the run.
    attempt : int
        Which attempt logs.
    deleted : bool
        It is hidden.
    keys : dict of str to int or None
        Numbers of the metrics that were asked for, without those that nobody has logged; None: nobody has asked.
    """

    seq: int
    kind: str
    attempt: int
    deleted: bool
    keys: dict[str, int] | None = None


class Found(NamedTuple):
    """A run with all that its row and those beside it say.

    Attributes
    ----------
    run : Run
        The run, without its metrics.
    hold : Hold
        What the owner keeps about it.
    experiment : int
        Number of its experiment; 0 for a run without one.
    place : Place
        Where its points go.
    has_datasets, has_models : bool
        It says which datasets it read; which logged models it read or made.
    """

    run: Run
    hold: Hold
    experiment: int
    place: Place
    has_datasets: bool
    has_models: bool


_IS_IT = (runs.c.id == bindparam("id_"), runs.c.project == bindparam("project_"))
_known = select(series_keys.c.key, series_keys.c.id).where(series_keys.c.key.in_(unpack_ids("names"))).subquery("known")
_PLACE = Statement(
    select(runs.c.seq, runs.c.kind, runs.c.attempt, deletions.c.deleted_at, _known.c.key, _known.c.id)
    .outerjoin(deletions, deletions.c.id == runs.c.id)
    .outerjoin(_known, true())
    .where(*_IS_IT)
)
_FIND = Statement(
    select(
        experiments.c.number,
        deletions.c.deleted_at,
        exists().where(dataset_inputs.c.run == runs.c.seq),
        exists().where(model_uses.c.run == runs.c.seq),
        *HELD,
    )
    .select_from(runs)
    .outerjoin(deletions, deletions.c.id == runs.c.id)
    .outerjoin(experiments, and_(experiments.c.project == runs.c.project, experiments.c.name == runs.c.experiment))
    .where(*_IS_IT)
)
_LATEST = Statement(
    select(series_keys.c.key, latest.c.step, latest.c.time, read_value(latest))
    .join_from(latest, series_keys, series_keys.c.id == latest.c.key)
    .where(latest.c.run == bindparam("run_"))
    .order_by(series_keys.c.key)
)
_DATASETS = Statement(
    select(*(told_datasets.c[name] for name in DatasetInput.__struct_fields__[:-1]), dataset_inputs.c.tags)
    .join_from(dataset_inputs, told_datasets, told_datasets.c.seq == dataset_inputs.c.dataset)
    .where(dataset_inputs.c.run == bindparam("run_"))
    .order_by(told_datasets.c.seq)
)
_USES = Statement(
    select(model_uses.c.kind, model_uses.c.model_id, model_uses.c.step)
    .where(model_uses.c.run == bindparam("run_"))
    .order_by(model_uses.c.kind, model_uses.c.step, model_uses.c.model_id)
)
_FIND_DATASET = Statement(
    select(told_datasets.c.seq).where(
        told_datasets.c.project == bindparam("project_"),
        told_datasets.c.experiment == bindparam("experiment_"),
        told_datasets.c.name == bindparam("name_"),
        told_datasets.c.digest == bindparam("digest_"),
    )
)
_OF_DATASET = ("project", "experiment", "name", "digest", "source_type", "source", "schema", "profile")
_ADD_DATASET = Statement(insert(told_datasets), _OF_DATASET)
_ADD_INPUT = Statement(add_once(dataset_inputs), ("run", "dataset", "tags"))
_ADD_USE = Statement(add_once(model_uses), ("run", "kind", "model_id", "step"))


def find_place(connection: Connection, project: str, run_id: str, metrics: Collection[str] = ()) -> Place:
    """Return where points of a run go, and the numbers of their metrics, by one statement.

    Raises
    ------
    NotFound
        RUN-001 when the project has no such run, deleted or not.
    """
    rows = _PLACE.all(connection, id_=run_id, project_=project, names=pack_ids(list(metrics)))
    if not rows:
        raise no_run(run_id)
    seq, kind, attempt, deleted_at = rows[0][:4]
    keys = {str(key): int(number) for *_, key, number in rows if key is not None}
    return Place(seq, kind, attempt, deleted_at is not None, keys)


def find_logged(connection: Connection, project: str, run_id: str) -> Found:
    """Return a run, deleted or not, by one statement.

    Raises
    ------
    NotFound
        RUN-001 when the project has no such run.
    """
    row = _FIND.first(connection, id_=run_id, project_=project)
    if row is None:
        raise no_run(run_id)
    run, hold = split_held(row[4:])
    place = Place(hold.seq, run.kind, run.attempt, row[1] is not None)
    return Found(run, hold, row[0] or 0, place, bool(row[2]), bool(row[3]))


def get_logged(connection: Connection, project: str, run_id: str) -> LoggedRun:
    """Return a run with all that was logged of it, deleted or not.

    Raises
    ------
    NotFound
        RUN-001.
    """
    found = find_logged(connection, project, run_id)
    points = [
        (str(key), int(step), float(time), math.nan if value is None else value)
        for key, step, time, value in _LATEST.all(connection, run_=found.place.seq)
    ]
    uses: dict[str, list[ModelUse]] = {"read": [], "made": []}
    for kind, model_id, step in _USES.all(connection, run_=found.place.seq) if found.has_models else ():
        uses[kind].append(ModelUse(model_id, step))
    rows = _DATASETS.all(connection, run_=found.place.seq) if found.has_datasets else ()
    datasets = [DatasetInput(*row) for row in rows]
    return LoggedRun(found.run, found.experiment, found.place.deleted, points, datasets, uses["read"], uses["made"])


def add_inputs(connection: Connection, project: str, experiment: int, seq: int, read: Sequence[DatasetInput]) -> None:
    """Add readings of datasets to a run; the first reading of one is the one that stays."""
    for each in read:
        named = {"name_": each.name, "digest_": each.digest, "project_": project, "experiment_": experiment}
        row = _FIND_DATASET.first(connection, **named)
        if row is None:
            values = {name: getattr(each, name) for name in _OF_DATASET[2:]}
            _ADD_DATASET.run(connection, {"project": project, "experiment": experiment, **values})
            row = _FIND_DATASET.first(connection, **named)
        assert row is not None
        _ADD_INPUT.run(connection, {"run": seq, "dataset": row[0], "tags": each.tags})


def add_uses(connection: Connection, seq: int, kind: str, uses: Sequence[ModelUse]) -> None:
    """Add logged models that a run read or made."""
    _ADD_USE.run_many(
        connection, [{"run": seq, "kind": kind, "model_id": each.model_id, "step": each.step} for each in uses]
    )


def list_inputs(connection: Connection, project: str, experiments: Sequence[int]) -> list[DatasetSummary]:
    """Return the datasets that runs of experiments read, each once with its context."""
    query = (
        select(told_datasets.c.experiment, told_datasets.c.name, told_datasets.c.digest, dataset_inputs.c.tags)
        .join_from(told_datasets, dataset_inputs, dataset_inputs.c.dataset == told_datasets.c.seq)
        .where(told_datasets.c.project == project, told_datasets.c.experiment.in_(experiments))
        .order_by(told_datasets.c.seq)
    )
    found = [
        DatasetSummary(number, name, digest, (tags or {}).get(CONTEXT, ""))
        for number, name, digest, tags in connection.execute(query)
    ]
    return list(dict.fromkeys(found))
