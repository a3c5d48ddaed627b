"""Logged models: what MLflow's clients log before it is registered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mainspring.domain.errors import NotFound
from mainspring.domain.loggedmodels import LoggedModel, ModelMetric
from mainspring.store.deletions import is_here
from mainspring.store.holdings import drop_uses
from mainspring.store.runfiles import drop_all_files
from mainspring.store.statements import Statement, add_or_replace, pack_ids, unpack_ids
from mainspring.store.tables import logged_models, model_metrics
from mainspring.store.words import Connection, bindparam, delete, insert, select, update

_COLUMNS = [logged_models.c[name] for name in LoggedModel.__struct_fields__ if name != "metrics"]
_NAMES = [column.name for column in _COLUMNS]
_IS_SHOWN = is_here(logged_models.c.run_id)
_FIND = Statement(
    select(*_COLUMNS).where(
        logged_models.c.id == bindparam("id_"), logged_models.c.project == bindparam("project_"), _IS_SHOWN
    )
)
_ADD = Statement(insert(logged_models), _NAMES)
_METRICS = [model_metrics.c[name] for name in ModelMetric.__struct_fields__]
_ADD_METRIC = Statement(add_or_replace(model_metrics, "value"), [column.name for column in _METRICS])
_LIST_METRICS = Statement(
    select(*_METRICS)
    .where(model_metrics.c.model_id.in_(unpack_ids("ids")))
    .order_by(model_metrics.c.key, model_metrics.c.step, model_metrics.c.time)
)
_LIST_HIDDEN = Statement(
    select(logged_models.c.id)
    .where(logged_models.c.project == bindparam("project_"), logged_models.c.deleted_at < bindparam("before"))
    .order_by(logged_models.c.seq)
    .limit(bindparam("limit_"))
)


def find_model(connection: Connection, project: str, model_id: str, *, deleted: bool = False) -> LoggedModel:
    """Return a logged model of a project with its metrics.

    Raises
    ------
    NotFound
        LMODEL-001 when there is none of this id, or it is deleted and was not asked for so.
    """
    row = _FIND.first(connection, id_=model_id, project_=project)
    if row is None or not (deleted or row[_NAMES.index("deleted_at")] is None):
        raise NotFound("LMODEL-001", f"no logged model has the id m-{model_id[:100]}", id=model_id[:100])
    model = LoggedModel(*row)
    _add_metrics(connection, [model])
    return model


def list_models(connection: Connection, project: str, experiments: Sequence[int]) -> list[LoggedModel]:
    """Return the logged models of experiments that are not deleted, the newest first, with their metrics."""
    query = (
        select(*_COLUMNS)
        .where(logged_models.c.project == project, logged_models.c.experiment.in_(list(experiments)))
        .where(logged_models.c.deleted_at.is_(None), _IS_SHOWN)
        .order_by(logged_models.c.created_at.desc(), logged_models.c.seq.desc())
    )
    found = [LoggedModel(*row) for row in connection.execute(query)]
    _add_metrics(connection, found)
    return found


def add_model(connection: Connection, model: LoggedModel) -> None:
    """Add a logged model."""
    _ADD.run_later(connection, {name: getattr(model, name) for name in _NAMES})


def change_model(connection: Connection, model_id: str, **values: Any) -> None:
    """Set columns of a logged model."""
    connection.execute(update(logged_models).where(logged_models.c.id == model_id).values(**values))


def add_metrics(connection: Connection, new: Sequence[ModelMetric]) -> None:
    """Log metrics; one of the same model, run, name, step, time and dataset is replaced."""
    _ADD_METRIC.run_many(connection, [{column.name: getattr(each, column.name) for column in _METRICS} for each in new])


def list_models_of(connection: Connection, run_id: str) -> list[str]:
    """Return the ids of the models that a run logged, deleted or not."""
    query = select(logged_models.c.id).where(logged_models.c.run_id == run_id)
    return [str(model_id) for (model_id,) in connection.execute(query)]


def has_model(connection: Connection, model_id: str) -> bool:
    """Tell whether any project has, or had, a logged model of this id."""
    return connection.execute(select(logged_models.c.id).where(logged_models.c.id == model_id)).first() is not None


def list_hidden(connection: Connection, project: str, before: float, limit: int) -> list[str]:
    """Return the ids of models that were deleted before a time."""
    found = _LIST_HIDDEN.all(connection, project_=project, before=before, limit_=limit)
    return [str(model_id) for (model_id,) in found]


def purge_model(connection: Connection, project: str, model_id: str) -> None:
    """Remove a logged model with its files and all that it was linked with."""
    drop_all_files(connection, model_id)
    drop_uses(connection, project, model_id)
    connection.execute(delete(model_metrics).where(model_metrics.c.model_id == model_id))
    connection.execute(delete(logged_models).where(logged_models.c.id == model_id))


def _add_metrics(connection: Connection, found: Sequence[LoggedModel]) -> None:
    """Give models of each name, run and dataset the last metric."""
    if not found:
        return
    last: dict[str, dict[tuple[str, ...], ModelMetric]] = {}
    for row in _LIST_METRICS.all(connection, ids=pack_ids([each.id for each in found])):
        each = ModelMetric(*row)
        last.setdefault(each.model_id, {})[each.key, each.run_id, each.dataset, each.dataset_digest] = each
    for model in found:
        model.metrics = list(last.get(model.id, {}).values())
