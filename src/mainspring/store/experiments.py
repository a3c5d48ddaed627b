"""Experiments in the record: found by number or name, made once, hidden with their runs."""

from __future__ import annotations

from typing import Any

from mainspring.domain.errors import NotFound
from mainspring.domain.experiments import DEFAULT_EXPERIMENT, Experiment, Shown
from mainspring.store.deletions import is_here
from mainspring.store.rows import change
from mainspring.store.statements import Statement
from mainspring.store.tables import deletions, experiments, runs
from mainspring.store.words import Connection, bindparam, delete, func, insert, literal, select, update

_FIELDS = [experiments.c[name] for name in Experiment.__struct_fields__]
_IN_PROJECT = experiments.c.project == bindparam("project_")
_OF_NUMBER = Statement(select(*_FIELDS).where(_IN_PROJECT, experiments.c.number == bindparam("number_")))
_OF_NAME = Statement(select(*_FIELDS).where(_IN_PROJECT, experiments.c.name == bindparam("name_")))
_NEXT = Statement(select(func.max(experiments.c.number)).where(_IN_PROJECT))
_ADD = Statement(insert(experiments), tuple(Experiment.__struct_fields__))


def find_numbered(connection: Connection, project: str, number: int) -> Experiment | None:
    """Return the experiment of a number, deleted or not; None when there is none."""
    row = _OF_NUMBER.first(connection, project_=project, number_=number)
    if row is None:
        return Experiment(0, DEFAULT_EXPERIMENT, project) if number == 0 else None
    return Experiment(*row)


def find_named(connection: Connection, project: str, name: str) -> Experiment | None:
    """Return the experiment of a name, deleted or not; None when there is none."""
    row = _OF_NAME.first(connection, project_=project, name_=name)
    if row is None:
        return Experiment(0, DEFAULT_EXPERIMENT, project) if name == DEFAULT_EXPERIMENT else None
    return Experiment(*row)


def get_numbered(connection: Connection, project: str, number: int) -> Experiment:
    """Return what `find_numbered` does.

    Raises
    ------
    NotFound
        EXP-001.
    """
    found = find_numbered(connection, project, number)
    if found is None:
        raise NotFound("EXP-001", f"no experiment has the number {number}", number=number)
    return found


def number_of(connection: Connection, project: str, name: str) -> int:
    """Return the number of a run's experiment; 0 for a run without one."""
    found = find_named(connection, project, name) if name else None
    return 0 if found is None else found.number


def add_experiment(connection: Connection, project: str, name: str, time: float, tags: dict[str, str]) -> Experiment:
    """Add an experiment of a name that there is none of; the first one of a project finds experiment 0 made."""
    row = _NEXT.first(connection, project_=project)
    last = None if row is None else row[0]
    if last is None:
        _add(connection, Experiment(0, DEFAULT_EXPERIMENT, project))  # it was there before anybody looked
        last = 0
    if name == DEFAULT_EXPERIMENT:
        return get_numbered(connection, project, 0)
    made = Experiment(last + 1, name, project, tags, time, time)
    _add(connection, made)
    return made


def change_experiment(connection: Connection, found: Experiment, time: float, **values: Any) -> Experiment:
    """Update an experiment, its time of change with it; return it as it is now."""
    if found.number == 0:
        add_experiment(connection, found.project, DEFAULT_EXPERIMENT, time, {})
    where = {"project": found.project, "number": found.number}
    change(connection, experiments, where, changed_at=time, **values)
    return get_numbered(connection, found.project, found.number)


def rename_runs(connection: Connection, project: str, old: str, new: str) -> None:
    """Have the runs of an experiment bear its new name."""
    connection.execute(update(runs).where(runs.c.project == project, runs.c.experiment == old).values(experiment=new))


def hide_runs(connection: Connection, found: Experiment, principal: str, time: float) -> None:
    """Hide all runs of an experiment that are not hidden."""
    of_it = (runs.c.project == found.project, runs.c.experiment == found.name, is_here(runs.c.id))
    rows = select(runs.c.id, runs.c.project, literal(principal), literal(time)).where(*of_it)
    connection.execute(insert(deletions).from_select(["id", "project", "deleted_by", "deleted_at"], rows))


def show_runs(connection: Connection, found: Experiment) -> None:
    """Show the runs again that were hidden along with their experiment and are not gone for good."""
    of_it = select(runs.c.id).where(runs.c.project == found.project, runs.c.experiment == found.name)
    connection.execute(
        delete(deletions).where(
            deletions.c.id.in_(of_it), deletions.c.deleted_at == found.deleted_at, deletions.c.purged_at.is_(None)
        )
    )


def list_experiments(connection: Connection, project: str, shown: Shown) -> list[Experiment]:
    """Return the experiments of a project that are there, hidden, or both."""
    query = select(*_FIELDS).where(experiments.c.project == project)
    found = [Experiment(*row) for row in connection.execute(query)] or [Experiment(0, DEFAULT_EXPERIMENT, project)]
    return [each for each in found if shown == "all" or (each.deleted_at is not None) == (shown == "deleted")]


def _add(connection: Connection, made: Experiment) -> None:
    _ADD.run(connection, {name: getattr(made, name) for name in Experiment.__struct_fields__})
