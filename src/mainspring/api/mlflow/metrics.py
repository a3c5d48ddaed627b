"""Endpoints that read series: whole, in pages, of several runs, and thinned out for charts."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec

from mainspring.api.mlflow.checks import OfRun, Wanted, Whole, invalid, missing
from mainspring.api.mlflow.endpoints import Call, Endpoint
from mainspring.api.mlflow.errors import MlflowError
from mainspring.domain.searches import MOST_AT_ONCE, MOST_POINTS, MOST_SAMPLES, History, ReadHistory, SampleHistories

_FAR = sys.float_info.max


class Metric(msgspec.Struct, omit_defaults=True):
    """A point as the protocol has it."""

    key: str
    value: float | str
    timestamp: int
    step: int
    run_id: str = ""


class _History(OfRun):
    REQUIRED: ClassVar[tuple[str, ...]] = ("run_id", "metric_key")
    metric_key: str = ""
    max_results: Whole | None = None
    page_token: str = ""


class _Bulk(Wanted):
    run_id: list[str] = []
    metric_key: str | None = None
    max_results: Whole = MOST_POINTS


class _Interval(Wanted):
    run_ids: list[str] = []
    metric_key: str = ""
    start_step: Whole | None = None
    end_step: Whole | None = None
    max_results: Whole = MOST_SAMPLES


def show_value(value: float) -> float | str:
    """Return a value as JSON can carry it: what is no number as a text, what is infinite as the greatest number.

    Examples
    --------
    >>> show_value(float("nan")), show_value(float("-inf")), show_value(0.5)
    ('NaN', -1.7976931348623157e+308, 0.5)
    """
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else math.copysign(_FAR, value)


def show_point(key: str, step: int, time: float, value: float) -> Metric:
    """Return a point as the protocol has it."""
    return Metric(key, value if -_FAR <= value <= _FAR else show_value(value), round(time * 1000), step)


def show_points(key: str, points: Iterable[tuple[int, float, float]], run_id: str = "") -> list[Metric]:
    """Return points of a series as the protocol has them."""
    return [
        Metric(key, value if -_FAR <= value <= _FAR else show_value(value), round(time * 1000), step, run_id)
        for step, time, value in points
    ]


async def get_history(call: Call) -> Any:
    """Answer with all points of a series, or with a page of them, by time."""
    wanted = call.read(_History)
    most, key = wanted.max_results, wanted.metric_key
    if most is None:
        return {"metrics": show_points(key, await _read_all(call, wanted.run_id, key))}
    if most <= 0:
        raise MlflowError(f"Invalid value {most} for parameter 'max_results' supplied. It must be a positive integer.")
    command = ReadHistory(run_id=wanted.run_id, key=key, limit=min(most, MOST_POINTS), page=wanted.page_token)
    found: History = await call.ask(command)
    following = {} if found.next is None else {"next_page_token": found.next}
    return {"metrics": show_points(key, found.points), **following}


async def get_bulk(call: Call) -> Any:
    """Answer with a series of several runs, run after run, cut where enough is told."""
    wanted = call.read(_Bulk)
    _count(wanted.run_id, "run_id", "GetMetricHistoryBulk")
    key = wanted.metric_key
    if key is None:
        raise MlflowError("GetMetricHistoryBulk request must specify a metric_key.")
    left, told = max(0, min(wanted.max_results, MOST_POINTS)), []
    for run_id in sorted(set(wanted.run_id)):
        if not left:
            break
        found: History = await call.ask(ReadHistory(run_id=run_id, key=key, limit=left))
        told += show_points(key, found.points, run_id)
        left -= len(found.points)
    return {"metrics": told}


async def get_interval(call: Call) -> Any:
    """Answer with a series of several runs, each thinned out evenly."""
    wanted = call.read(_Interval)
    if not wanted.run_ids:
        raise missing("run_ids")
    _count(wanted.run_ids, "run_ids", "GetMetricHistoryBulkInterval")
    if not wanted.metric_key:
        raise missing("metric_key")
    if not 1 <= wanted.max_results <= MOST_SAMPLES:
        raise invalid("max_results", wanted.max_results, f"max_results must be between 1 and {MOST_SAMPLES}.")
    first, last = wanted.start_step, wanted.end_step
    if (first is None) != (last is None):
        raise MlflowError("If either start step or end step are specified, both must be specified.")
    if first is not None and last is not None and first > last:
        raise MlflowError(f"end_step must be greater than start_step. Found start_step={first} and end_step={last}.")
    command = SampleHistories(
        run_ids=tuple(wanted.run_ids),
        key=wanted.metric_key,
        most=wanted.max_results,
        first_step=first,
        last_step=last,
    )
    found = await call.ask(command)
    told = [show_points(wanted.metric_key, each, run_id) for run_id, each in zip(wanted.run_ids, found, strict=True)]
    return {"metrics": [point for each in told for point in each]}


async def _read_all(call: Call, run_id: str, key: str) -> list[tuple[int, float, float]]:
    """Return a whole series, in turns of the owner that are short however long it is."""
    points: list[tuple[int, float, float]] = []
    command: ReadHistory | None = ReadHistory(run_id=run_id, key=key, by_step=True)
    while command is not None:
        found: History = await call.ask(command)
        points += found.points
        command = None if found.next is None else msgspec.structs.replace(command, page=found.next)
    points.sort(key=lambda point: (point[1], point[0]))
    return points


def _count(run_ids: list[str], name: str, what: str) -> None:
    if not run_ids:
        raise MlflowError(f"{what} request must specify at least one {name}.")
    if len(run_ids) > MOST_AT_ONCE:
        most = f"{what} request cannot specify more than {MOST_AT_ONCE} {name.rstrip('s')}s"
        raise MlflowError(f"{most}. Received {len(run_ids)} {name.rstrip('s')}s.")


_AT = "/api/2.0/mlflow/metrics"
_AREA = "Metrics"

ENDPOINTS = (
    Endpoint("GET", f"{_AT}/get-history", get_history, _AREA),
    Endpoint("GET", f"{_AT}/get-history-bulk", get_bulk, _AREA),
    Endpoint("GET", f"{_AT}/get-history-bulk-interval", get_interval, _AREA),
)
