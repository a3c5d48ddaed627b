"""Searches among logged models: which meet the conditions, and in what order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mainspring.domain import conditions as grammar
from mainspring.domain.conditions import LISTED, NUMERIC, TEXTUAL
from mainspring.domain.loggedmodels import Condition, LoggedModel, ModelMetric, Order

SIGNS = frozenset({*NUMERIC, *TEXTUAL, *LISTED})

ATTRIBUTES: dict[str, Callable[[LoggedModel], str | float | None]] = {
    "name": lambda model: model.name,
    "model_id": lambda model: f"m-{model.id}",
    "model_type": lambda model: model.kind,
    "status": lambda model: model.state.upper(),
    "source_run_id": lambda model: model.run_id,
    "experiment_id": lambda model: str(model.experiment),
    "creation_timestamp": lambda model: round(model.created_at * 1000),
    "last_updated_timestamp": lambda model: round(model.changed_at * 1000),
}
"""What can be searched and ordered by, beside metrics, parameters and tags."""


TIMES = frozenset({"creation_timestamp", "last_updated_timestamp"})
"""Attributes that are numbers."""


def choose_models(
    models: Iterable[LoggedModel],
    conditions: Sequence[Condition],
    datasets: Sequence[tuple[str, str]],
    order: Sequence[Order],
) -> list[LoggedModel]:
    """Return the models that meet all conditions, in order; equal ones stay as they came.

    Parameters
    ----------
    models : iterable of LoggedModel
        With their metrics.
    conditions : sequence of Condition
        A model that lacks what one is about does not meet it.
    datasets : sequence of (str, str)
        Name, and digest or empty; where there are some, only metrics on them count, and a model has one.
    order : sequence of Order
        The first counts most. What lacks the field comes last.
    """
    found = [each for each in models if _meets(each, conditions, datasets)]
    for each in reversed(order):
        values = {id(model): _read_order(model, each) for model in found}
        known = [model for model in found if values[id(model)] is not None]
        known.sort(key=lambda model: values[id(model)], reverse=not each.ascending)
        found = known + [model for model in found if values[id(model)] is None]
    return found


def _meets(model: LoggedModel, conditions: Sequence[Condition], datasets: Sequence[tuple[str, str]]) -> bool:
    metrics = [each for each in model.metrics if not datasets or _is_on(each, datasets)]
    if datasets and not metrics:
        return False
    return all(_holds(model, each, metrics) for each in conditions)


def _holds(model: LoggedModel, wanted: Condition, metrics: Sequence[ModelMetric]) -> bool:
    values: list[Any]
    if wanted.part == "metrics":
        values = [each.value for each in metrics if each.key == wanted.key]
    elif wanted.part == "attributes":
        values = [ATTRIBUTES[wanted.key](model)]
    else:
        values = [(model.params if wanted.part == "params" else model.tags).get(wanted.key)]
    compared = grammar.Condition(wanted.part, wanted.key, wanted.sign, wanted.value)
    return any(grammar.holds(compared, value) for value in values)


def _read_order(model: LoggedModel, order: Order) -> Any:
    part, _, key = order.field.partition(".")
    if part != "metrics" or not key:
        return ATTRIBUTES[order.field](model)
    wanted = [(order.dataset, order.dataset_digest)] if order.dataset else []
    found = [each for each in model.metrics if each.key == key and (not wanted or _is_on(each, wanted))]
    known = [each for each in found if each.value is not None]
    return max(known, key=lambda each: (each.step, each.time)).value if known else None


def _is_on(metric: ModelMetric, datasets: Sequence[tuple[str, str]]) -> bool:
    return any(metric.dataset == name and digest in {"", metric.dataset_digest} for name, digest in datasets)
