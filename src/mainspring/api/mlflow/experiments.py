"""Endpoints of experiments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from mainspring.api.mlflow.checks import Wanted, Whole, invalid
from mainspring.api.mlflow.endpoints import Call, Endpoint
from mainspring.api.mlflow.errors import MlflowError
from mainspring.api.mlflow.names import (
    MOST_EXPERIMENT_TAG,
    MOST_KEY,
    MOST_NAME,
    check_key,
    check_length,
    read_experiment_id,
)
from mainspring.domain import experiments as told
from mainspring.domain.errors import Conflict, NotFound


class _SearchDatasets(Wanted):
    experiment_ids: list[str] = []


_MOST_DATASET_IDS = 20

VIEWS: dict[str, told.Shown] = {"ACTIVE_ONLY": "active", "DELETED_ONLY": "deleted", "ALL": "all"}
"""MLflow's word for which are asked for -> ours."""


class Pair(msgspec.Struct):
    """A key with its value."""

    key: str = ""
    value: str = ""


class _Create(Wanted):
    REQUIRED: ClassVar[tuple[str, ...]] = ("name",)
    name: str = ""
    artifact_location: str = ""
    tags: list[Pair] = []


class _OfExperiment(Wanted):
    REQUIRED: ClassVar[tuple[str, ...]] = ("experiment_id",)
    experiment_id: str = ""


class _Named(Wanted):
    REQUIRED: ClassVar[tuple[str, ...]] = ("experiment_name",)
    experiment_name: str = ""


class _Update(_OfExperiment):
    REQUIRED: ClassVar[tuple[str, ...]] = ("experiment_id", "new_name")
    new_name: str = ""


class _Tag(_OfExperiment):
    REQUIRED: ClassVar[tuple[str, ...]] = ("experiment_id", "key")
    key: str = ""
    value: str = ""


class _Search(Wanted):
    max_results: Whole = 1_000
    page_token: str = ""
    filter: str = ""
    order_by: list[str] = []
    view_type: str = "ACTIVE_ONLY"


def show_location(number: int) -> str:
    """Return where artifacts of an experiment's runs lie, as a client of MLflow is told."""
    return f"mlflow-artifacts:/{number}"


def show_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as the protocol has them."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def show_time(seconds: float | None) -> int:
    """Return a time as milliseconds since 1970."""
    return round((seconds or 0.0) * 1000)


def show_stage(*, deleted: bool) -> str:
    """Return MLflow's word for what is there or hidden."""
    return "deleted" if deleted else "active"


def show_experiment(found: told.Experiment) -> dict[str, Any]:
    """Return an experiment as the protocol has it."""
    return {
        "experiment_id": str(found.number),
        "name": found.name,
        "artifact_location": show_location(found.number),
        "lifecycle_stage": show_stage(deleted=found.deleted_at is not None),
        "last_update_time": show_time(found.changed_at),
        "creation_time": show_time(found.created_at),
        "tags": show_tags(found.tags),
    }


async def create(call: Call) -> Any:
    """Make an experiment."""
    wanted = call.read(_Create)
    check_length("name", MOST_NAME, wanted.name)
    tags = {each.key: each.value for each in wanted.tags}
    for key, value in tags.items():
        _check_tag(key, value)
    made: told.Experiment = await call.ask(told.AddExperiment(name=wanted.name, tags=tags))
    return {"experiment_id": str(made.number)}


async def get(call: Call) -> Any:
    """Answer with an experiment, deleted or not."""
    number = read_experiment_id(call.read(_OfExperiment).experiment_id)
    return {"experiment": show_experiment(await call.ask(told.GetExperiment(number=number)))}


async def get_by_name(call: Call) -> Any:
    """Answer with the experiment of a name, deleted or not."""
    name = call.read(_Named).experiment_name
    try:
        found = await call.ask(told.GetExperiment(name=name))
    except NotFound as error:
        if error.code != "EXP-001":
            raise
        raise MlflowError(f"Could not find experiment with name '{name}'", "RESOURCE_DOES_NOT_EXIST") from None
    return {"experiment": show_experiment(found)}


async def search(call: Call) -> Any:
    """Answer with a page of the experiments that a filter holds for."""
    wanted = call.read(_Search)
    if wanted.view_type not in VIEWS:
        raise invalid("view_type", wanted.view_type)
    if wanted.max_results < 1:
        raise invalid("max_results", wanted.max_results, "It must be a positive integer")
    if wanted.max_results > told.MOST_FOUND:
        raise invalid("max_results", wanted.max_results, f"It must be at most {told.MOST_FOUND}")
    command = told.SearchExperiments(
        filter=wanted.filter,
        order_by=tuple(wanted.order_by),
        shown=VIEWS[wanted.view_type],
        limit=wanted.max_results,
        page=wanted.page_token,
    )
    found: told.FoundExperiments = await call.ask(command)
    following = {} if found.next is None else {"next_page_token": found.next}
    return {"experiments": [show_experiment(each) for each in found.experiments], **following}


async def search_datasets(call: Call) -> Any:
    """Answer with the datasets that runs of experiments read, each once with its context."""
    wanted = call.read(_SearchDatasets)
    if not wanted.experiment_ids:
        raise MlflowError("SearchDatasets request must specify at least one experiment_id.")
    if len(wanted.experiment_ids) > _MOST_DATASET_IDS:
        raise MlflowError(
            f"SearchDatasets request cannot specify more than {_MOST_DATASET_IDS} experiment_ids. "
            f"Received {len(wanted.experiment_ids)} experiment_ids."
        )
    numbers = tuple(map(read_experiment_id, wanted.experiment_ids))
    found = await call.ask(told.ListDatasetInputs(experiments=numbers))
    summaries = [
        {"experiment_id": str(each.experiment), "name": each.name, "digest": each.digest, "context": each.context}
        for each in found
    ]
    return {"dataset_summaries": summaries}


async def update(call: Call) -> Any:
    """Rename an experiment."""
    wanted = call.read(_Update)
    check_length("name", MOST_NAME, wanted.new_name)
    await call.ask(told.RenameExperiment(number=read_experiment_id(wanted.experiment_id), name=wanted.new_name))
    return {}


async def delete(call: Call) -> Any:
    """Hide an experiment with its runs."""
    number = read_experiment_id(call.read(_OfExperiment).experiment_id)
    return await _move(call, told.DeleteExperiment(number=number))


async def restore(call: Call) -> Any:
    """Show a deleted experiment again."""
    number = read_experiment_id(call.read(_OfExperiment).experiment_id)
    return await _move(call, told.RestoreExperiment(number=number))


async def set_tag(call: Call) -> Any:
    """Set a tag."""
    wanted = call.read(_Tag)
    _check_tag(wanted.key, wanted.value)
    number = read_experiment_id(wanted.experiment_id)
    await call.ask(told.TagExperiment(number=number, tags={wanted.key: wanted.value}))
    return {}


async def delete_tag(call: Call) -> Any:
    """Remove a tag that is there."""
    wanted = call.read(_Tag)
    await call.ask(told.TagExperiment(number=read_experiment_id(wanted.experiment_id), remove=(wanted.key,)))
    return {}


async def _move(call: Call, command: told.DeleteExperiment | told.RestoreExperiment) -> Any:
    """Delete or restore; for MLflow what is in the other state is not there."""
    try:
        await call.ask(command)
    except Conflict as error:
        if error.code != "EXP-003":
            raise
        raise MlflowError(f"No Experiment with id={command.number} exists", "RESOURCE_DOES_NOT_EXIST") from None
    return {}


def _check_tag(key: str, value: str) -> None:
    check_key(key, "key")
    check_length("key", MOST_KEY, key)
    check_length("value", MOST_EXPERIMENT_TAG, value)


_AT = "/api/2.0/mlflow/experiments"
_AREA = "Experiments"

ENDPOINTS = (
    Endpoint("POST", f"{_AT}/create", create, _AREA, "artifacts lie in this server's store, whatever is asked"),
    Endpoint("GET", f"{_AT}/get", get, _AREA),
    Endpoint("GET", f"{_AT}/get-by-name", get_by_name, _AREA),
    Endpoint("GET", f"{_AT}/search", search, _AREA),
    Endpoint("POST", f"{_AT}/search", search, _AREA),
    Endpoint("POST", f"{_AT}/search-datasets", search_datasets, _AREA),
    Endpoint("POST", f"{_AT}/update", update, _AREA),
    Endpoint("POST", f"{_AT}/delete", delete, _AREA),
    Endpoint("POST", f"{_AT}/restore", restore, _AREA),
    Endpoint("POST", f"{_AT}/set-experiment-tag", set_tag, _AREA),
    Endpoint("POST", f"{_AT}/delete-experiment-tag", delete_tag, _AREA),
)
