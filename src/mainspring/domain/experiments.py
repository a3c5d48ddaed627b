"""Messages about experiments, and about runs that a program tells of without a process that the owner watches.

Such a run is of kind ``script`` and has neither host nor lease: it lives until somebody says that it ended, and may
go on after that. Clients of MLflow make them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from mainspring.domain import records
from mainspring.domain.command import Command, Count, Nothing, Time
from mainspring.domain.loggedmodels import ModelMetric
from mainspring.domain.principals import DEFAULT_PROJECT

DEFAULT_EXPERIMENT = "Default"
"""Name of the experiment 0, which every project has from the start."""

MOST_EXPERIMENT = 500
"""Characters of the name of an experiment."""

MOST_FOUND = 50_000
"""Experiments in one answer, at most."""

MOST_EXPERIMENT_TAG = 20_000
"""Characters of the value of an experiment's tag."""

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Shown = Literal["active", "deleted", "all"]


class Experiment(msgspec.Struct):
    """What runs are gathered under.

    Attributes
    ----------
    number : int
        Counts within the project; 0: the one that is there from the start.
    name : str
        Unique within the project, the deleted ones included.
    project : str
        Which it belongs to.
    tags : dict of str to str
        What people say of it.
    created_at, changed_at : float
        Seconds since 1970 UTC.
    deleted_at : float or None
        When it was hidden with its runs; None: it is there.
    """

    number: int
    name: str
    project: str = DEFAULT_PROJECT
    tags: dict[str, str] = {}
    created_at: float = 0.0
    changed_at: float = 0.0
    deleted_at: float | None = None


class AddExperiment(Command):
    """Make an experiment."""

    name: str
    tags: dict[str, str] = {}


class GetExperiment(Command):
    """One experiment, deleted or not: by its number, or by its name when one is given."""

    number: Number = 0
    name: str = ""


class SearchExperiments(Command):
    """A page of the experiments that a filter of MLflow's holds for; `page` is what the page before named."""

    filter: str = ""
    order_by: tuple[str, ...] = ()
    shown: Shown = "active"
    limit: Count = 1_000
    page: str = ""


class FoundExperiments(msgspec.Struct):
    """A page of experiments, and what names the next one."""

    experiments: list[Experiment]
    next: str | None = None


class RenameExperiment(Command):
    """Give an experiment another name; its runs bear it too."""

    number: Number
    name: str


class DeleteExperiment(Command):
    """Hide an experiment with all its runs."""

    number: Number


class RestoreExperiment(Command):
    """Show a deleted experiment again, with the runs that were hidden along with it."""

    number: Number


class TagExperiment(Command):
    """Set and remove tags of an experiment."""

    number: Number
    tags: dict[str, str] = {}
    remove: tuple[str, ...] = ()


class DatasetInput(msgspec.Struct, frozen=True):
    """A dataset of somewhere else that a run read, as its program describes it.

    Attributes
    ----------
    name, digest : str
        Name it within an experiment.
    source_type, source : str
        Where it came from.
    schema, profile : str or None
        Texts of its program.
    tags : dict of str to str
        Of the reading, such as its context.
    """

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str | None = None
    profile: str | None = None
    tags: dict[str, str] = {}


class ModelUse(msgspec.Struct, frozen=True):
    """A logged model that a run read or made, by its id; `step` of one that it made."""

    model_id: str
    step: int = 0


class LoggedRun(msgspec.Struct):
    """A run with all that was logged of it.

    Attributes
    ----------
    run : Run
        The run.
    experiment : int
        Number of its experiment.
    deleted : bool
        It is hidden.
    latest : list of tuple
        (key, step, time, value) of the last point of each series.
    datasets : list of DatasetInput
        What it read.
    read, made : list of ModelUse
        Logged models that it read and made.
    """

    run: records.Run
    experiment: int
    deleted: bool = False
    latest: list[tuple[str, int, float, float]] = []
    datasets: list[DatasetInput] = []
    read: list[ModelUse] = []
    made: list[ModelUse] = []


class OpenRun(Command):
    """Begin a run that no process of this home is behind; nobody watches it, and it is never lost."""

    experiment: Number = 0
    name: str = ""
    parent_id: str | None = None
    tags: dict[str, str] = {}
    started_at: Time | None = None


class GetLoggedRun(Command):
    """A run with all that was logged of it, deleted or not."""

    run_id: str


class SetRun(Command):
    """Say that a run is in another state, when it ended, or what it is called.

    The state of a run that has a process or a worker is not changed by this.
    """

    run_id: str
    state: Literal["running", "queued", "succeeded", "failed", "cancelled"] | None = None
    ended_at: Time | None = None
    name: str = ""
    tags: dict[str, str] = {}


class HideRun(Command):
    """Delete a run, and nothing below it; one that lives by itself only if nobody watches it."""

    run_id: str


class ShowRun(Command):
    """Restore a deleted run."""

    run_id: str


class LogBatch(Command):
    """Log points, parameters and tags of a run, all or none of them.

    A parameter keeps its first value; the same value again is no change.
    """

    run_id: str
    points: list[tuple[str, int, Time, float]] = []
    """(key, step, time, value)"""
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    remove: tuple[str, ...] = ()
    """Tags; each must be there."""
    of_models: list[ModelMetric] = []
    """Those points that are metrics of logged models, too."""
    name: str = ""
    """What the run is called from now on; empty: as before."""


class LogInputs(Command):
    """Say which datasets of elsewhere and which logged models a run read, and which it made."""

    run_id: str
    datasets: list[DatasetInput] = []
    read: list[ModelUse] = []
    made: list[ModelUse] = []


class ListDatasetInputs(Command):
    """The datasets that runs of experiments read, each once with its context."""

    experiments: tuple[Number, ...]


class DatasetSummary(msgspec.Struct, frozen=True):
    """A dataset that runs of an experiment read."""

    experiment: int
    name: str
    digest: str
    context: str = ""


ANSWERS: dict[type[Command], Any] = {
    AddExperiment: Experiment,
    GetExperiment: Experiment,
    SearchExperiments: FoundExperiments,
    RenameExperiment: Experiment,
    DeleteExperiment: Experiment,
    RestoreExperiment: Experiment,
    TagExperiment: Experiment,
    OpenRun: LoggedRun,
    GetLoggedRun: LoggedRun,
    SetRun: LoggedRun,
    HideRun: Nothing,
    ShowRun: Nothing,
    LogBatch: Nothing,
    LogInputs: Nothing,
    ListDatasetInputs: list[DatasetSummary],
}
