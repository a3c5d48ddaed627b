"""Use cases of searches as MLflow's clients make them, and of reading series for charts."""

from __future__ import annotations

from mainspring.control.turn import Turn
from mainspring.control.usecases import handles
from mainspring.domain import searches as told
from mainspring.store import experiments, found, histories
from mainspring.store.runs import no_run


@handles(told.FindRuns, action="runs.read", reads=True)
def find_runs(turn: Turn, command: told.FindRuns) -> told.FoundRuns:
    """Answer with a page of runs of experiments; one that there is none of has no runs."""
    numbers: dict[str, int] = {}
    for number in dict.fromkeys(command.experiments):
        known = experiments.find_numbered(turn.connection, turn.project, number)
        if known is not None:
            numbers[known.name] = number
    return found.find_runs(turn.connection, turn.project, command, numbers)


@handles(told.ReadHistory, action="runs.read", reads=True)
def read_history(turn: Turn, command: told.ReadHistory) -> told.History:
    """Answer with a page of one series of a run, deleted or not.

    Raises
    ------
    NotFound
        RUN-001.
    """
    return histories.read_history(turn.connection, turn.project, command, _find(turn, command.run_id, command.key))


@handles(told.SampleHistories, action="runs.read", reads=True)
def sample_histories(turn: Turn, command: told.SampleHistories) -> list[list[histories.Point]]:
    """Answer with one series of each run, thinned out.

    Raises
    ------
    NotFound
        RUN-001.
    """
    series = [_find(turn, run_id, command.key) for run_id in command.run_ids]
    steps = (command.first_step, command.last_step)
    return [histories.sample(turn.connection, each, command.most, *steps) for each in series]


def _find(turn: Turn, run_id: str, key: str) -> tuple[int, int]:
    series = histories.find_series(turn.connection, turn.project, run_id, key)
    if series is None:
        raise no_run(run_id)
    return series
