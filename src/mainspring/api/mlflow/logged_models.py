"""Endpoints of logged models."""

from __future__ import annotations

import math
import secrets
from typing import Any, ClassVar, cast

import msgspec

from mainspring.api.mlflow.artifacts import show_files
from mainspring.api.mlflow.checks import Wanted, Whole, invalid, missing
from mainspring.api.mlflow.endpoints import Call, Endpoint
from mainspring.api.mlflow.errors import MlflowError
from mainspring.api.mlflow.experiments import Pair
from mainspring.api.mlflow.metrics import show_value
from mainspring.api.mlflow.names import read_experiment_id
from mainspring.domain import loggedmodels as told
from mainspring.domain.conditions import Value, parse_conditions
from mainspring.domain.files import File, ListFiles
from mainspring.domain.grammars import LOGGED_MODELS
from mainspring.domain.places import SCHEME
from mainspring.security.paths import check_artifact_path

AREA = "Logged models"
STATES: dict[str, told.State] = {
    "LOGGED_MODEL_PENDING": "pending",
    "LOGGED_MODEL_READY": "ready",
    "LOGGED_MODEL_UPLOAD_FAILED": "failed",
}
_WORDS = {state: (number, word) for number, (word, state) in enumerate(STATES.items(), 1)}
_PARTS = {"attribute": "attributes", "metric": "metrics", "parameter": "params", "tag": "tags"}
_PREFIX = "m-"
_BAD = ("/", ":", ".", "%", '"', "'")
_MOST = 1_000
_PATH = "/api/2.0/mlflow/logged-models"


class _Create(Wanted):
    REQUIRED: ClassVar[tuple[str, ...]] = ("experiment_id",)
    experiment_id: str = ""
    name: str = ""
    model_type: str = ""
    source_run_id: str = ""
    params: list[Pair] = []
    tags: list[Pair] = []


class _Get(Wanted):
    allow_deleted: str = "false"


class _Finalize(Wanted):
    REQUIRED: ClassVar[tuple[str, ...]] = ("status",)
    status: str | int = ""


class _Tags(Wanted):
    tags: list[Pair] = []


class _Params(Wanted):
    params: list[Pair] = []


class _Below(Wanted):
    artifact_directory_path: str = ""


class _Dataset(msgspec.Struct):
    dataset_name: str = ""
    dataset_digest: str = ""


class _OrderBy(msgspec.Struct):
    field_name: str = ""
    ascending: bool = True
    dataset_name: str = ""
    dataset_digest: str = ""


class _Search(Wanted):
    experiment_ids: list[str] = []
    filter: str = ""
    datasets: list[_Dataset] = []
    max_results: Whole = 100
    order_by: list[_OrderBy] = []
    page_token: str = ""


async def create(call: Call) -> dict[str, Any]:
    """Begin to log a model."""
    asked = call.read(_Create)
    if any(each in asked.name for each in _BAD):
        raise MlflowError(
            f"Invalid model name ({asked.name[:250]!r}) provided. Model name must be a non-empty string "
            f"and cannot contain the following characters: {_BAD}"
        )
    made: told.LoggedModel = await call.ask(
        told.AddLoggedModel(
            experiment=read_experiment_id(asked.experiment_id),
            name=asked.name or f"model-{secrets.token_hex(4)}",
            kind=asked.model_type,
            run_id=asked.source_run_id or None,
            params={each.key: each.value for each in asked.params},
            tags={each.key: each.value for each in asked.tags},
        )
    )
    return {"model": show_model(made)}


async def get(call: Call) -> dict[str, Any]:
    """Answer with a logged model."""
    deleted = call.read(_Get).allow_deleted.lower() == "true"
    return {"model": show_model(await call.ask(told.GetLoggedModel(model_id=_read_id(call), deleted=deleted)))}


async def finalize(call: Call) -> dict[str, Any]:
    """Say that a model is complete, or that it failed."""
    given = call.read(_Finalize).status
    words = {word: state for state, (_, word) in _WORDS.items()} | {
        number: state for state, (number, _) in _WORDS.items()
    }
    state = words.get(int(given) if isinstance(given, str) and given.isdecimal() else given)
    if state is None:
        raise invalid("status", given)
    return {"model": show_model(await call.ask(told.SetLoggedModel(model_id=_read_id(call), state=state)))}


async def delete(call: Call) -> dict[str, Any]:
    """Delete a logged model."""
    await call.ask(told.HideLoggedModel(model_id=_read_id(call)))
    return {}


async def set_tags(call: Call) -> dict[str, Any]:
    """Set tags of a logged model."""
    tags = {each.key: each.value for each in call.read(_Tags).tags}
    return {"model": show_model(await call.ask(told.SetLoggedModel(model_id=_read_id(call), tags=tags)))}


async def delete_tag(call: Call) -> dict[str, Any]:
    """Remove a tag of a logged model."""
    await call.ask(told.SetLoggedModel(model_id=_read_id(call), remove=(call.places["key"],)))
    return {}


async def log_params(call: Call) -> dict[str, Any]:
    """Add parameters of a logged model."""
    params = {each.key: each.value for each in call.read(_Params).params}
    await call.ask(told.SetLoggedModel(model_id=_read_id(call), params=params))
    return {}


async def list_directory(call: Call) -> dict[str, Any]:
    """Answer with the files and folders of a logged model, by their paths below it."""
    below = call.read(_Below).artifact_directory_path.rstrip("/")
    model: told.LoggedModel = await call.ask(told.GetLoggedModel(model_id=_read_id(call)))
    path = check_artifact_path(below) if below else ""
    found: list[File] = await call.ask(ListFiles(model_id=model.id, below=path))
    return {"root_uri": _name_root(model), **show_files(found, path)}


async def search(call: Call) -> dict[str, Any]:
    """Answer with the logged models of experiments that meet a filter."""
    asked = call.read(_Search)
    if not asked.experiment_ids:
        raise missing("experiment_ids")
    if not 0 < asked.max_results <= _MOST:
        raise invalid("max_results", asked.max_results, f"must be between 1 and {_MOST}")
    if not all(each.dataset_name for each in asked.datasets):
        raise MlflowError("`dataset_name` in the `datasets` clause must be specified.")
    page: told.LoggedModelPage = await call.ask(
        told.SearchLoggedModels(
            experiments=tuple(map(read_experiment_id, asked.experiment_ids)),
            conditions=_read_filter(asked.filter),
            datasets=tuple((each.dataset_name, each.dataset_digest) for each in asked.datasets),
            order=tuple(map(_read_order, asked.order_by)),
            limit=asked.max_results,
            page=asked.page_token,
        )
    )
    following = {"next_page_token": page.next} if page.next else {}
    return {"models": [show_model(each) for each in page.models], **following}


def show_model(model: told.LoggedModel) -> dict[str, Any]:
    """Return a logged model as MLflow's clients want it."""
    info: dict[str, Any] = {
        "model_id": f"{_PREFIX}{model.id}",
        "experiment_id": str(model.experiment),
        "name": model.name,
        "creation_timestamp_ms": round(model.created_at * 1000),
        "last_updated_timestamp_ms": round(model.changed_at * 1000),
        "artifact_uri": _name_root(model),
        "status": _WORDS[model.state][1],
        "model_type": model.kind,
        "source_run_id": model.run_id or "",
        "tags": _show_pairs(model.tags),
    }
    return {
        "info": info,
        "data": {"params": _show_pairs(model.params), "metrics": list(map(_show_metric, model.metrics))},
    }


def strip_id(model_id: str) -> str:
    """Return a logged model's id as the record has it."""
    return model_id.removeprefix(_PREFIX)


def _show_metric(metric: told.ModelMetric) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "key": metric.key,
        "value": show_value(math.nan if metric.value is None else metric.value),
        "timestamp": round(metric.time * 1000),
        "step": metric.step,
        "model_id": f"{_PREFIX}{metric.model_id}",
        "run_id": metric.run_id,
    }
    named = {"dataset_name": metric.dataset, "dataset_digest": metric.dataset_digest}
    return {**shown, **{name: text for name, text in named.items() if text}}


def _show_pairs(pairs: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in pairs.items()]


def _name_root(model: told.LoggedModel) -> str:
    return f"{SCHEME}{model.experiment}/models/{_PREFIX}{model.id}/artifacts"


def _read_id(call: Call) -> str:
    return strip_id(call.places["model_id"])


def _read_filter(text: str) -> tuple[told.Condition, ...]:
    return tuple(
        told.Condition(_PARTS[each.kind], each.key, each.sign, _read_value(each.value))
        for each in parse_conditions(text, LOGGED_MODELS)
    )


def _read_value(value: Value) -> str | float | tuple[str, ...]:
    return float(value) if isinstance(value, int) else cast("str | float | tuple[str, ...]", value)


def _read_order(order: _OrderBy) -> told.Order:
    name = order.field_name.removesuffix("_ms")
    field = LOGGED_MODELS.aliases.get(name, name) if name in LOGGED_MODELS.ordered else order.field_name
    return told.Order(field, order.ascending, order.dataset_name, order.dataset_digest)


ENDPOINTS = (
    Endpoint("POST", _PATH, create, AREA),
    Endpoint("POST", f"{_PATH}/search", search, AREA),
    Endpoint("GET", f"{_PATH}/{{model_id}}", get, AREA),
    Endpoint("PATCH", f"{_PATH}/{{model_id}}", finalize, AREA),
    Endpoint("DELETE", f"{_PATH}/{{model_id}}", delete, AREA),
    Endpoint("POST", f"{_PATH}/{{model_id}}/params", log_params, AREA),
    Endpoint("PATCH", f"{_PATH}/{{model_id}}/tags", set_tags, AREA),
    Endpoint("DELETE", f"{_PATH}/{{model_id}}/tags/{{key:path}}", delete_tag, AREA),
    Endpoint("GET", f"{_PATH}/{{model_id}}/artifacts/directories", list_directory, AREA),
)
