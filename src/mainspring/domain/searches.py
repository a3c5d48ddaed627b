"""Messages of MLflow's clients that search runs and read series; native ones are in `messages` and `tracking`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from mainspring.domain.command import Command, Count
from mainspring.domain.experiments import DatasetInput, ModelUse, Number, Shown

MOST_RUNS = 50_000
"""Runs in one answer, at most."""

MOST_POINTS = 25_000
"""Points in one answer, at most; a longer series is read in pages."""

MOST_AT_ONCE = 100
"""Runs whose series are read at once, at most."""

MOST_SAMPLES = 2_500
"""Points of one run in a chart, at most."""

STATES = {
    "RUNNING": "running",
    "SCHEDULED": "queued",
    "FINISHED": "succeeded",
    "FAILED": "failed",
    "KILLED": "cancelled",
}
"""MLflow's states -> ours."""

SHOWN_STATES = {ours: theirs for theirs, ours in STATES.items()} | {"starting": "SCHEDULED", "pruned": "KILLED"}
"""Our states -> MLflow's."""

USER = "mlflow.user"
"""Tag that says who began a run, when it is not who spoke for it."""


class FindRuns(Command):
    """Runs of experiments that a filter of MLflow's holds for, in its orders; see `mainspring.domain.conditions`."""

    experiments: tuple[Number, ...]
    filter: str = ""
    order_by: tuple[str, ...] = ()
    shown: Shown = "active"
    limit: Count = 1_000
    page: str = ""


class FoundRun(msgspec.Struct, omit_defaults=True):
    """A run with what was logged of it, as lean as thousands of them must be.

    Attributes
    ----------
    params, tags : str
        JSON objects, as they are kept.
    latest : list of tuple
        (key, step, time, value) of the last point of each series.
    """

    id: str
    name: str
    state: str
    experiment: int
    principal: str
    started_at: float
    ended_at: float | None = None
    deleted: bool = False
    params: str = "{}"
    tags: str = "{}"
    latest: list[tuple[str, int, float, float]] = []
    datasets: list[DatasetInput] = []
    read: list[ModelUse] = []
    made: list[ModelUse] = []


class FoundRuns(msgspec.Struct):
    """A page of runs; `next` names the following one, None: this is the last."""

    runs: list[FoundRun]
    next: str | None = None


class ReadHistory(Command):
    """A page of one series of a run by time, or with `by_step` by step; what `page` names follows."""

    run_id: str
    key: str
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_POINTS)] = MOST_POINTS
    page: str = ""
    by_step: bool = False


class History(msgspec.Struct):
    """Points (step, time, value), and what names the next page; None: this was the last."""

    points: list[tuple[int, float, float]]
    next: str | None = None


class SampleHistories(Command):
    """One series of several runs, each thinned out to `most` points, evenly, with the first and the last one."""

    run_ids: Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST_AT_ONCE)]
    key: str
    most: Annotated[int, msgspec.Meta(ge=1, le=MOST_SAMPLES)] = MOST_SAMPLES
    first_step: int | None = None
    last_step: int | None = None


ANSWERS: dict[type[Command], Any] = {
    FindRuns: FoundRuns,
    ReadHistory: History,
    SampleHistories: list[list[tuple[int, float, float]]],
}
