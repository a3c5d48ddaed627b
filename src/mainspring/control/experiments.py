"""Use cases of experiments: make, find, rename, tag, hide with their runs, show again."""

from __future__ import annotations

from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain import experiments as told
from mainspring.domain.conditions import parse_conditions, parse_orders
from mainspring.domain.errors import Conflict, Invalid, NotFound
from mainspring.domain.experiments import DEFAULT_EXPERIMENT, MOST_EXPERIMENT, Experiment
from mainspring.domain.grammars import EXPERIMENTS
from mainspring.store import experiments
from mainspring.store.pages import read_page, write_page
from mainspring.tracking.experiments import select_experiments


@handles(told.AddExperiment, action="runs.start")
def add_experiment(turn: Turn, command: told.AddExperiment) -> Experiment:
    """Make an experiment.

    Raises
    ------
    Invalid
        EXP-005 for the name.
    Conflict
        EXP-002 when there is one, deleted or not.
    """
    _check_name(command.name)
    _check_free(turn, command.name)
    return experiments.add_experiment(turn.connection, turn.project, command.name, turn.now(), command.tags)


@handles(told.GetExperiment, action="runs.read", reads=True)
def get_experiment(turn: Turn, command: told.GetExperiment) -> Experiment:
    """Answer with an experiment, deleted or not.

    Raises
    ------
    NotFound
        EXP-001.
    """
    if not command.name:
        return experiments.get_numbered(turn.connection, turn.project, command.number)
    found = experiments.find_named(turn.connection, turn.project, command.name)
    if found is None:
        raise NotFound("EXP-001", f"no experiment is called {command.name!r}", name=command.name)
    return found


@handles(told.SearchExperiments, action="runs.read", reads=True)
def search_experiments(turn: Turn, command: told.SearchExperiments) -> told.FoundExperiments:
    """Answer with a page of the experiments that a filter holds for.

    Raises
    ------
    Invalid
        RUN-014 for a filter or order that cannot be read, RUN-013 for a page of another search, API-025 for
        a limit.
    """
    if not 1 <= command.limit <= told.MOST_FOUND:
        what = f"{command.limit:,} experiments are asked for at once; from 1 to {told.MOST_FOUND:,} are given"
        raise Invalid("API-025", what, limit=command.limit, most=told.MOST_FOUND)
    search = (turn.project, command.filter, command.order_by, command.shown)
    after = int(read_page(command.page, search, (int,))[0] or 0) if command.page else 0
    conditions = parse_conditions(command.filter, EXPERIMENTS)
    orders = parse_orders(list(command.order_by), EXPERIMENTS)
    found = experiments.list_experiments(turn.connection, turn.project, command.shown)
    chosen = select_experiments(found, conditions, orders)
    end = after + command.limit
    return told.FoundExperiments(chosen[after:end], write_page(search, [end]) if len(chosen) > end else None)


@handles(told.RenameExperiment, action="runs.tag")
def rename_experiment(turn: Turn, command: told.RenameExperiment) -> Experiment:
    """Give an experiment another name, and its runs with it.

    Raises
    ------
    Invalid
        EXP-005 for the name, or for experiment 0.
    Conflict
        EXP-002 when another one has the name, EXP-003 when it is deleted.
    """
    found = experiments.get_numbered(turn.connection, turn.project, command.number)
    if found.deleted_at is not None:
        raise _deleted(found, "deleted")
    if found.name == command.name:
        return found
    _check_name(command.name)
    if found.number == 0:
        raise Invalid("EXP-005", f"experiment 0 is called {DEFAULT_EXPERIMENT} in every project")
    _check_free(turn, command.name)
    experiments.rename_runs(turn.connection, turn.project, found.name, command.name)
    return experiments.change_experiment(turn.connection, found, turn.now(), name=command.name)


@handles(told.DeleteExperiment, action="runs.delete")
def delete_experiment(turn: Turn, command: told.DeleteExperiment) -> Experiment:
    """Hide an experiment with all its runs.

    Raises
    ------
    Conflict
        EXP-003 when it is deleted.
    """
    found = experiments.get_numbered(turn.connection, turn.project, command.number)
    if found.deleted_at is not None:
        raise _deleted(found, "deleted")
    now = turn.now()
    experiments.hide_runs(turn.connection, found, str(turn.actor), now)
    turn.audit("experiments.delete", str(found.number), before={"name": found.name})
    return experiments.change_experiment(turn.connection, found, now, deleted_at=now)


@handles(told.RestoreExperiment, action="runs.delete")
def restore_experiment(turn: Turn, command: told.RestoreExperiment) -> Experiment:
    """Show a deleted experiment again, with the runs that were hidden along with it.

    Raises
    ------
    Conflict
        EXP-003 when it is not deleted.
    """
    found = experiments.get_numbered(turn.connection, turn.project, command.number)
    if found.deleted_at is None:
        raise _deleted(found, "active")
    experiments.show_runs(turn.connection, found)
    turn.audit("experiments.restore", str(found.number), after={"name": found.name})
    return experiments.change_experiment(turn.connection, found, turn.now(), deleted_at=None)


@handles(told.TagExperiment, action="runs.tag")
def tag_experiment(turn: Turn, command: told.TagExperiment) -> Experiment:
    """Set and remove tags of an experiment.

    Raises
    ------
    Conflict
        EXP-003 when it is deleted.
    NotFound
        EXP-006 when a tag that is removed is not there.
    """
    found = experiments.get_numbered(turn.connection, turn.project, command.number)
    check_active(found)
    for name in command.remove:
        if name not in found.tags:
            raise NotFound(
                "EXP-006", f"experiment {found.number} has no tag {name!r}", experiment=found.number, name=name
            )
    left = {name: value for name, value in found.tags.items() if name not in command.remove}
    return experiments.change_experiment(turn.connection, found, turn.now(), tags=left | command.tags)


def find_or_add(turn: Turn, name: str) -> Experiment:
    """Return the experiment of a name, made when there is none; refuse a deleted one.

    Raises
    ------
    Conflict
        EXP-003.
    """
    found = experiments.find_named(turn.connection, turn.project, name)
    if found is None:
        return experiments.add_experiment(turn.connection, turn.project, name, turn.now(), {})
    check_active(found)
    return found


def check_active(found: Experiment) -> None:
    """Refuse a deleted experiment.

    Raises
    ------
    Conflict
        EXP-003.
    """
    if found.deleted_at is not None:
        raise _deleted(found, "deleted")


def _check_name(name: str) -> None:
    if not 0 < len(name) <= MOST_EXPERIMENT:
        raise Invalid("EXP-005", f"{name[:100]!r} is no name of an experiment", name=name[:MOST_EXPERIMENT])


def _check_free(turn: Turn, name: str) -> None:
    held = experiments.find_named(turn.connection, turn.project, name)
    if held is not None:
        state = "deleted" if held.deleted_at is not None else "active"
        what = f"experiment {held.number} of project {turn.project} is called {name!r}; it is {state}"
        raise Conflict("EXP-002", what, name=name, number=held.number, state=state)


def _deleted(found: Experiment, state: str) -> Conflict:
    what = f"experiment {found.number}, {found.name!r}, is {'deleted' if state == 'deleted' else 'not deleted'}"
    return Conflict("EXP-003", what, experiment=found.number, state=state)
