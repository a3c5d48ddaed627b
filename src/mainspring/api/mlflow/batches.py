"""Endpoints by which runs log: metrics, parameters and tags, one by one or in batches, and what they read and made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from mainspring.api.mlflow.checks import OfRun, Whole, missing
from mainspring.api.mlflow.endpoints import Call, Endpoint
from mainspring.api.mlflow.errors import MlflowError
from mainspring.api.mlflow.experiments import Pair
from mainspring.api.mlflow.logged_models import strip_id
from mainspring.api.mlflow.names import NAME, check_length, check_metric, check_param, check_run_id, check_tag
from mainspring.domain import experiments as told
from mainspring.domain.errors import Invalid
from mainspring.domain.loggedmodels import ModelMetric

MOST_METRICS = 1_000
MOST_TEXTS = 100
MOST_ENTITIES = 1_000
MOST_BATCH_BYTES = 1_000_000
MOST_INPUT_BYTES = 24 * 1024 * 1024

_MOST_DATASET = {"name": 500, "digest": 36, "source": 65_535, "schema": 1_048_575, "profile": 16_777_215}


class _Metric(OfRun):
    REQUIRED: ClassVar[tuple[str, ...]] = ("run_id", "key", "value", "timestamp")
    key: str = ""
    value: float | None = None
    timestamp: Whole | None = None
    step: Whole = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class _Text(OfRun):
    REQUIRED: ClassVar[tuple[str, ...]] = ("run_id", "key")
    key: str = ""
    value: str = ""


class _Point(msgspec.Struct):
    key: str = ""
    value: float | None = None
    timestamp: Whole | None = None
    step: Whole = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class _Batch(OfRun):
    metrics: list[_Point] = []
    params: list[Pair] = []
    tags: list[Pair] = []


class _Dataset(msgspec.Struct):
    name: str | None = None
    digest: str | None = None
    source_type: str | None = None
    source: str | None = None
    schema: str | None = None
    profile: str | None = None


class _Reading(msgspec.Struct):
    dataset: _Dataset | None = None
    tags: list[Pair] = []


class _ModelUse(msgspec.Struct):
    model_id: str = ""
    step: Whole = 0


class _Inputs(OfRun):
    datasets: list[_Reading] = []
    models: list[_ModelUse] = []


class _Outputs(OfRun):
    REQUIRED: ClassVar[tuple[str, ...]] = ("run_id", "models")
    models: list[_ModelUse] | None = None


async def log_metric(call: Call) -> Any:
    """Log one point."""
    wanted = call.read(_Metric)
    assert wanted.value is not None
    assert wanted.timestamp is not None
    value = check_metric(wanted.key, wanted.value, wanted.timestamp)
    point = (wanted.key, wanted.step, wanted.timestamp / 1000, value)
    await call.ask(told.LogBatch(run_id=wanted.run_id, points=[point], of_models=_read_of_models([wanted], [point])))
    return {}


async def log_param(call: Call) -> Any:
    """Log one parameter."""
    wanted = call.read(_Text)
    value = check_param(wanted.key, wanted.value)
    try:
        await call.ask(told.LogBatch(run_id=wanted.run_id, params={wanted.key: value}))
    except Invalid as error:
        changed = _read_changed(error)
        raise MlflowError(
            f"Changing param values is not allowed. Param with key='{wanted.key}' was already logged with "
            f"value='{changed[0]['old_value']}' for run ID='{wanted.run_id}'. Attempted logging new value '{value}'."
        ) from None
    return {}


async def set_tag(call: Call) -> Any:
    """Set a tag."""
    wanted = call.read(_Text)
    tags = {wanted.key: check_tag(wanted.key, wanted.value)}
    await call.ask(told.LogBatch(run_id=wanted.run_id, tags=tags, name=tags.get(NAME, "")))
    return {}


async def delete_tag(call: Call) -> Any:
    """Remove a tag that is there."""
    wanted = call.read(_Text)
    await call.ask(told.LogBatch(run_id=wanted.run_id, remove=(wanted.key,)))
    return {}


async def log_batch(call: Call) -> Any:
    """Log points, parameters and tags, all or none of them."""
    if len(call.content) > MOST_BATCH_BYTES:
        raise MlflowError(
            f"Batched logging API requests must be at most {MOST_BATCH_BYTES} bytes, got a request of size "
            f"{len(call.content)}."
        )
    wanted = call.read(_Batch)
    for place, each in enumerate(wanted.metrics):
        if not each.key or each.value is None or each.timestamp is None:
            raise missing(f"metrics[{place}].{_first_missing(each)}")
    for name, pairs in (("params", wanted.params), ("tags", wanted.tags)):
        for place, pair in enumerate(pairs):
            if not pair.key:
                raise missing(f"{name}[{place}].key")
    check_run_id(wanted.run_id)
    points = [_read_point(each, place) for place, each in enumerate(wanted.metrics)]
    params = [(each.key, check_param(each.key, each.value, f"params[{n}]")) for n, each in enumerate(wanted.params)]
    tags = {each.key: check_tag(each.key, each.value, f"tags[{n}]") for n, each in enumerate(wanted.tags)}
    _check_amounts(wanted)
    _check_once([key for key, _ in params])
    command = told.LogBatch(
        run_id=wanted.run_id,
        points=points,
        params=dict(params),
        tags=tags,
        name=tags.get(NAME, ""),
        of_models=_read_of_models(wanted.metrics, points),
    )
    try:
        await call.ask(command)
    except Invalid as error:
        raise MlflowError(
            f"Changing param values is not allowed. Params were already logged='{_read_changed(error)}' "
            f"for run ID='{wanted.run_id}'."
        ) from None
    return {}


async def log_inputs(call: Call) -> Any:
    """Say which datasets and logged models a run read."""
    wanted = call.read(_Inputs)
    check_run_id(wanted.run_id)
    datasets = [_read_dataset(each) for each in wanted.datasets]
    uses = [told.ModelUse(each.model_id, each.step) for each in wanted.models]
    await call.ask(told.LogInputs(run_id=wanted.run_id, datasets=datasets, read=uses))
    return {}


async def log_outputs(call: Call) -> Any:
    """Say which logged models a run made."""
    wanted = call.read(_Outputs)
    uses = [told.ModelUse(each.model_id, each.step) for each in wanted.models or ()]
    await call.ask(told.LogInputs(run_id=wanted.run_id, made=uses))
    return {}


def _read_of_models(
    given: Sequence[_Metric | _Point], points: Sequence[tuple[str, int, float, float]]
) -> list[ModelMetric]:
    """Return the points that are said to be of logged models."""
    return [
        ModelMetric(*point, strip_id(each.model_id), "", each.dataset_name, each.dataset_digest)
        for each, point in zip(given, points, strict=True)
        if each.model_id
    ]


def _read_point(each: _Point, place: int) -> tuple[str, int, float, float]:
    assert each.value is not None
    assert each.timestamp is not None
    value = check_metric(each.key, each.value, each.timestamp, f"metrics[{place}]")
    return each.key, each.step, each.timestamp / 1000, value


def _first_missing(each: _Point) -> str:
    if not each.key:
        return "key"
    return "value" if each.value is None else "timestamp"


def _check_amounts(wanted: _Batch) -> None:
    amounts = (
        ("metrics", MOST_METRICS, len(wanted.metrics)),
        ("params", MOST_TEXTS, len(wanted.params)),
        ("tags", MOST_TEXTS, len(wanted.tags)),
        ("metrics, params, and tags", MOST_ENTITIES, len(wanted.metrics) + len(wanted.params) + len(wanted.tags)),
    )
    for name, most, found in amounts:
        if found > most:
            raise MlflowError(
                f"A batch logging request can contain at most {most} {name}. Got {found} {name}. "
                f"Please split up {name} across multiple requests and try again."
            )


def _check_once(keys: list[str]) -> None:
    if len(set(keys)) < len(keys):
        again = [key for place, key in enumerate(keys) if key in keys[:place]]
        raise MlflowError(
            f"Duplicate parameter keys have been submitted: {again}. Please ensure the request contains only one "
            "param value per param key."
        )


def _read_changed(error: Invalid) -> list[dict[str, str]]:
    if error.code != "EXP-004":
        raise error
    changed: list[dict[str, str]] = error.context["changed"]
    return changed


def _read_dataset(each: _Reading) -> told.DatasetInput:
    given = each.dataset
    if given is None:
        raise MlflowError("Dataset cannot be None")
    for name in ("name", "digest", "source_type", "source"):
        if getattr(given, name) is None:
            raise MlflowError(f"Dataset {name} cannot be None")
    for name, most in _MOST_DATASET.items():
        check_length(name, most, getattr(given, name) or "")
    for tag in each.tags:
        check_length("key", 255, tag.key)
        check_length("value", 500, tag.value)
    tags = {tag.key: tag.value for tag in each.tags}
    texts = (given.name or "", given.digest or "", given.source_type or "", given.source or "")
    return told.DatasetInput(*texts, given.schema, given.profile, tags)


_AT = "/api/2.0/mlflow/runs"
_AREA = "Runs"

ENDPOINTS = (
    Endpoint("POST", f"{_AT}/log-metric", log_metric, _AREA),
    Endpoint("POST", f"{_AT}/log-parameter", log_param, _AREA, "a value above 6,000 characters is cut, as by MLflow"),
    Endpoint("POST", f"{_AT}/log-batch", log_batch, _AREA),
    Endpoint("POST", f"{_AT}/set-tag", set_tag, _AREA, "a value above 8,000 characters is cut, as by MLflow"),
    Endpoint("POST", f"{_AT}/delete-tag", delete_tag, _AREA),
    Endpoint("POST", f"{_AT}/log-inputs", log_inputs, _AREA, most_bytes=MOST_INPUT_BYTES),
    Endpoint("POST", f"{_AT}/outputs", log_outputs, _AREA),
)
