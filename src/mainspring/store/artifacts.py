"""Artifacts: what runs logged beside numbers."""

from __future__ import annotations

from collections.abc import Sequence

from mainspring.domain.tracking import Artifact
from mainspring.store.statements import Statement
from mainspring.store.tables import artifacts, runs
from mainspring.store.words import Connection, bindparam, delete, func, insert, select

_COLUMNS = ("run", "name", "step", "time", "value")
_OF_NAME = (artifacts.c.run == bindparam("run_")) & (artifacts.c.name == bindparam("name_"))
_DROP = Statement(delete(artifacts).where(_OF_NAME, artifacts.c.step == bindparam("step_")))
_ADD = Statement(insert(artifacts), _COLUMNS)
_newest = select(artifacts.c.seq).where(_OF_NAME).order_by(artifacts.c.seq.desc()).limit(bindparam("keep_"))
_DROP_OLD = Statement(delete(artifacts).where(_OF_NAME, artifacts.c.seq.not_in(_newest)))
_LIST = Statement(
    select(artifacts.c.name, artifacts.c.step, artifacts.c.time, artifacts.c.value)
    .join(runs, runs.c.seq == artifacts.c.run)
    .where(runs.c.id == bindparam("run_id"))
    .order_by(artifacts.c.name, artifacts.c.seq)
)
_LAST_STEPS = Statement(
    select(artifacts.c.name, func.max(artifacts.c.step))
    .where(artifacts.c.run == bindparam("run_"))
    .group_by(artifacts.c.name)
)


def add_artifacts(connection: Connection, run: int, new: Sequence[Artifact]) -> None:
    """Add artifacts to a run; one of the same name and step is replaced.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    run : int
        The run's number inside the file (`Hold.seq`).
    new : sequence of Artifact
        In the order they were logged. Where one says how many to keep, older ones of its name go.
    """
    for each in new:
        place = {"run_": run, "name_": each.name}
        _DROP.run_later(connection, {**place, "step_": each.step})
        values = {"run": run, "name": each.name, "step": each.step, "time": each.time, "value": each.value}
        _ADD.run_later(connection, values)
        if each.keep:
            _DROP_OLD.run_later(connection, {**place, "keep_": each.keep})


def list_artifacts(connection: Connection, run_id: str) -> list[Artifact]:
    """Return the artifacts of a run by name, of each the newest last."""
    return [Artifact(*row) for row in _LIST.all(connection, run_id=run_id)]


def read_positions(connection: Connection, run: int) -> dict[str, int]:
    """Return name -> the step after the last one of each artifact of a run."""
    return {str(name): int(step) + 1 for name, step in _LAST_STEPS.all(connection, run_=run)}
