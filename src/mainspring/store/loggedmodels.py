"""Logged models: what MLflow's clients log before it is registered."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mainspring.domain.errors import NotFound
from mainspring.domain.loggedmodels import LoggedModel
from mainspring.store.deletions import is_here
from mainspring.store.holdings import drop_uses
from mainspring.store.runfiles import drop_all_files
from mainspring.store.statements import Statement
from mainspring.store.tables import logged_models, model_metrics

_COLUMNS = [logged_models.c[name] for name in LoggedModel.__struct_fields__ if name in logged_models.c]
_FIND = Statement(
    select(*_COLUMNS).where(
        logged_models.c.id == bindparam("id_"),
        logged_models.c.project == bindparam("project_"),
        logged_models.c.deleted_at.is_(None),
        is_here(logged_models.c.run_id),
    )
)
_ADD = Statement(insert(logged_models), [column.name for column in _COLUMNS])


def find_model(connection: Connection, project: str, model_id: str) -> LoggedModel:
    """Return a logged model of a project.

    Raises
    ------
    NotFound
        LMODEL-001 when there is none of this id, or it is deleted.
    """
    row = _FIND.first(connection, id_=model_id, project_=project)
    if row is None:
        raise NotFound("LMODEL-001", f"no logged model has the id m-{model_id}", id=model_id)
    return LoggedModel(*row)


def add_model(connection: Connection, model: LoggedModel) -> None:
    """Add a logged model."""
    _ADD.run_later(connection, {column.name: getattr(model, column.name) for column in _COLUMNS})


def change_model(connection: Connection, model_id: str, **values: Any) -> None:
    """Set columns of a logged model."""
    connection.execute(update(logged_models).where(logged_models.c.id == model_id).values(**values))


def list_models_of(connection: Connection, run_id: str) -> list[str]:
    """Return the ids of the models that a run logged, deleted or not."""
    query = select(logged_models.c.id).where(logged_models.c.run_id == run_id)
    return [str(model_id) for (model_id,) in connection.execute(query)]


def purge_model(connection: Connection, project: str, model_id: str) -> None:
    """Remove a logged model with its files and all that it was linked with."""
    drop_all_files(connection, model_id)
    drop_uses(connection, project, model_id)
    connection.execute(delete(model_metrics).where(model_metrics.c.model_id == model_id))
    connection.execute(delete(logged_models).where(logged_models.c.id == model_id))
