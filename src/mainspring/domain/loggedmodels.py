"""Messages about logged models: what MLflow's clients log before it is registered."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from mainspring.domain.command import Command, Count, Nothing, Time

Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
State = Literal["pending", "ready", "failed"]


class ModelMetric(msgspec.Struct, frozen=True):
    """A metric of a logged model, as a run logged it.

    Attributes
    ----------
    key : str
        Its name.
    step : int
        Position in its series.
    time : float
        Seconds since 1970 UTC.
    value : float
        NaN when it is none.
    model_id : str
        Whose it is.
    run_id : str
        The run that logged it.
    dataset, dataset_digest : str
        On which data; empty: nobody said.
    """

    key: str
    step: int
    time: Time
    value: float | None
    model_id: str = ""
    run_id: str = ""
    dataset: str = ""
    dataset_digest: str = ""


class LoggedModel(msgspec.Struct):
    """A model as it was logged; its files are those of its id.

    Attributes
    ----------
    id : str
        32 hexadecimal characters; MLflow's clients write ``m-`` before them.
    project : str
        Its project.
    experiment : int
        Number of the experiment that it belongs to.
    name : str
        As it was logged.
    kind : str
        MLflow's model type, such as ``agent``; mostly empty.
    run_id : str or None
        The run that logged it.
    state : str
        ``pending``, ``ready`` or ``failed``.
    params, tags : dict of str to str
        As logged.
    created_at, changed_at : float
        Seconds since 1970 UTC.
    deleted_at : float or None
        When it was hidden.
    metrics : list of ModelMetric
        Of each name and dataset the last one of each run.
    """

    id: str
    project: str
    experiment: int
    name: str
    kind: str = ""
    run_id: str | None = None
    state: State = "pending"
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    created_at: float = 0.0
    changed_at: float = 0.0
    deleted_at: float | None = None
    metrics: list[ModelMetric] = []


class AddLoggedModel(Command):
    """Begin to log a model; its files follow."""

    experiment: Number
    name: str
    kind: str = ""
    run_id: str | None = None
    params: dict[str, str] = {}
    tags: dict[str, str] = {}


class GetLoggedModel(Command):
    """One logged model; deleted ones only when it is said."""

    model_id: str
    deleted: bool = False


class SetLoggedModel(Command):
    """Say that a logged model is complete or failed, add parameters, set and remove tags."""

    model_id: str
    state: State | None = None
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    remove: tuple[str, ...] = ()


class HideLoggedModel(Command):
    """Delete a logged model; its files go once its project keeps nothing deleted that long."""

    model_id: str


class Condition(msgspec.Struct, frozen=True):
    """What a search wants of a logged model.

    Attributes
    ----------
    part : str
        ``attributes``, ``metrics``, ``params`` or ``tags``.
    key : str
        Name in it.
    sign : str
        ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``LIKE``, ``ILIKE``, ``IN`` or ``NOT IN``.
    value : str, float or tuple of str
        What it is compared with.
    """

    part: str
    key: str
    sign: str
    value: str | float | tuple[str, ...]


class Order(msgspec.Struct, frozen=True):
    """By what a search orders logged models: an attribute, or ``metrics.NAME`` on a dataset or on any."""

    field: str
    ascending: bool = True
    dataset: str = ""
    dataset_digest: str = ""


class SearchLoggedModels(Command):
    """Logged models of experiments that meet all conditions, the newest first unless it is ordered otherwise.

    Where `datasets` are named (name, digest or empty), only metrics on them count.
    """

    experiments: tuple[Number, ...]
    conditions: tuple[Condition, ...] = ()
    datasets: tuple[tuple[str, str], ...] = ()
    order: tuple[Order, ...] = ()
    limit: Count = 100
    page: str = ""


class LoggedModelPage(msgspec.Struct):
    """Some logged models, and what names the next ones; None: there are no more."""

    models: list[LoggedModel]
    next: str | None = None


ANSWERS: dict[type[Command], Any] = {
    AddLoggedModel: LoggedModel,
    GetLoggedModel: LoggedModel,
    SetLoggedModel: LoggedModel,
    HideLoggedModel: Nothing,
    SearchLoggedModels: LoggedModelPage,
}
