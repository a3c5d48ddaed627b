"""What is asked of each server in turn, and what counts."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

from bench.tracking.asking import Spent, ask, drive, write_request
from bench.tracking.records import METRICS, Seeded
from bench.tracking.servers import Server

_RUNS = "/api/2.0/mlflow/runs"
_METRICS = "/api/2.0/mlflow/metrics"
_BATCH = 1_000
CHART_POINTS = 320
HISTORY_POINTS = 100_000

Measured = tuple[float, float]
"""The figure, and CPU milliseconds of the server for each of what is counted."""

Case = Callable[[Server, Seeded, float], Measured]


def now_ms() -> int:
    """Return the time as the protocol has it."""
    return int(time.time() * 1000)


def begin_run(server: Server) -> str:
    """Begin a run and return its id."""
    made = ask(server, "POST", f"{_RUNS}/create", {"experiment_id": "0", "start_time": now_ms()})
    run_id: str = made["run"]["info"]["run_id"]
    return run_id


def _count(spent: Spent, each: int = 1) -> Measured:
    total = spent.calls * each
    return total / spent.wall_s, 1000 * spent.cpu_s / total


def _time(spent: Spent) -> Measured:
    return 1000 * spent.wall_s / spent.calls, 1000 * spent.cpu_s / spent.calls


def log_metric(connections: int) -> Case:
    """Points one by one; each client has a run of its own."""

    def measure(server: Server, _: Seeded, seconds: float) -> Measured:
        ids = itertools.cycle([begin_run(server) for _ in range(connections)])
        logged: dict[str, int] = {}

        def make() -> bytes:
            run_id = next(ids)
            step = logged[run_id] = logged.get(run_id, -1) + 1
            body = {"run_id": run_id, "key": "loss", "value": step / 7, "timestamp": now_ms(), "step": step}
            return write_request(server, "POST", f"{_RUNS}/log-metric", body)

        spent = drive(server, make, connections=connections, seconds=seconds)
        for run_id, step in logged.items():
            (latest,) = ask(server, "GET", f"{_RUNS}/get?run_id={run_id}")["run"]["data"]["metrics"]
            assert int(latest.get("step", 0)) == step, (latest, step)
        return _count(spent)

    return measure


def log_batch(server: Server, _: Seeded, seconds: float) -> Measured:
    """Points by the thousand, of ten metrics."""
    run_id, batches = begin_run(server), itertools.count()

    def make() -> bytes:
        first = next(batches) * (_BATCH // 10)
        points = [
            {"key": f"m{key}", "value": key + step / 9, "timestamp": now_ms(), "step": first + step}
            for step in range(_BATCH // 10)
            for key in range(10)
        ]
        return write_request(server, "POST", f"{_RUNS}/log-batch", {"run_id": run_id, "metrics": points})

    spent = drive(server, make, seconds=seconds)
    latest = ask(server, "GET", f"{_RUNS}/get?run_id={run_id}")["run"]["data"]["metrics"]
    assert {int(each["step"]) for each in latest} == {spent.calls * _BATCH // 10 - 1}, latest
    return _count(spent, _BATCH)


def _post(path: str, make_body: Callable[[str, int], dict[str, object]]) -> Case:
    def measure(server: Server, _: Seeded, seconds: float) -> Measured:
        run_id, numbers = begin_run(server), itertools.count()

        def make() -> bytes:
            return write_request(server, "POST", f"{_RUNS}/{path}", make_body(run_id, next(numbers)))

        return _count(drive(server, make, seconds=seconds))

    return measure


set_tag = _post("set-tag", lambda run_id, number: {"run_id": run_id, "key": f"t{number % 50}", "value": str(number)})
log_param = _post("log-parameter", lambda run_id, number: {"run_id": run_id, "key": f"p{number}", "value": "0.1"})
create_run = _post(
    "create",
    lambda _, number: {
        "experiment_id": "0",
        "start_time": now_ms(),
        "run_name": f"bench {number}",
        "tags": [{"key": "team", "value": "air"}],
    },
)


def get_run(server: Server, seeded: Seeded, seconds: float) -> Measured:
    """One run with ten metrics, eight parameters and three tags."""
    ids = itertools.cycle(seeded.run_ids[:500])
    first = ask(server, "GET", f"{_RUNS}/get?run_id={seeded.run_ids[0]}")["run"]["data"]
    assert (len(first["metrics"]), len(first["params"])) == (METRICS, 8), first
    return _count(
        drive(server, lambda: write_request(server, "GET", f"{_RUNS}/get?run_id={next(ids)}"), seconds=seconds)
    )


def search(**asked: object) -> Case:
    """A page of a hundred runs of ten thousand."""

    def measure(server: Server, seeded: Seeded, seconds: float) -> Measured:
        body = {"experiment_ids": [seeded.experiment], "max_results": 100, **asked}
        request = write_request(server, "POST", f"{_RUNS}/search", body)
        found = json.loads(drive(server, lambda: request, calls=1, keep=True).bodies[0])
        assert 0 < len(found["runs"]) <= 100, len(found["runs"])
        _check_order(found, asked)
        return _time(drive(server, lambda: request, seconds=seconds))

    return measure


def _check_order(
    found: dict[str, list[dict[str, dict[str, list[dict[str, float]]]]]], asked: dict[str, object]
) -> None:
    if asked.get("order_by") == ["metrics.m0 DESC"]:
        values = [next(m["value"] for m in run["data"]["metrics"] if m["key"] == "m0") for run in found["runs"]]
        assert values == sorted(values, reverse=True), values[:5]


def history(server: Server, seeded: Seeded, seconds: float) -> Measured:
    """All points of a long series, in one answer."""
    request = write_request(server, "GET", f"{_METRICS}/get-history?run_id={seeded.long_run}&metric_key=loss")
    found = json.loads(drive(server, lambda: request, calls=1, keep=True).bodies[0])
    assert len(found["metrics"]) == HISTORY_POINTS, len(found["metrics"])
    return _time(drive(server, lambda: request, seconds=seconds))


def chart(server: Server, seeded: Seeded, seconds: float) -> Measured:
    """The points that a chart shows of it."""
    path = f"{_METRICS}/get-history-bulk-interval?run_ids={seeded.long_run}&metric_key={quote('loss')}"
    request = write_request(server, "GET", f"{path}&max_results={CHART_POINTS}")
    found = json.loads(drive(server, lambda: request, calls=1, keep=True).bodies[0])
    assert CHART_POINTS // 2 <= len(found["metrics"]) <= 3 * CHART_POINTS, len(found["metrics"])
    return _time(drive(server, lambda: request, seconds=seconds))


def list_cases() -> Iterator[tuple[str, str, Case, float | None, float | None]]:
    """Yield name, unit, case, least ratio and aim; a unit of ms means that less is better."""
    yield "log_metric, 1 client", "calls/s", log_metric(1), 3, 8
    yield "log_metric, 8 clients", "calls/s", log_metric(8), 8, 20
    yield "log_batch of 1,000", "points/s", log_batch, 6, 15
    yield "set_tag", "calls/s", set_tag, None, None
    yield "log_param", "calls/s", log_param, None, None
    yield "create_run", "calls/s", create_run, None, None
    yield "get_run", "calls/s", get_run, None, None
    yield "search, recent", "ms", search(order_by=["attributes.start_time DESC"]), 8, 15
    yield "search, filter", "ms", search(filter="metrics.m1 > 0.3 AND params.p1 = '3'"), 8, 15
    yield "search, order by metric", "ms", search(order_by=["metrics.m0 DESC"]), 8, 15
    yield "history of 100,000", "ms", history, 8, 15
    yield "chart of 320", "ms", chart, 10, 25


CLIENT_CASES = (
    ("MLflow's client, log_metric", "calls/s", "log_metric", 2.5, 3.5),
    ("MLflow's client, an empty run, start to end (3 calls)", "ms", "empty", 3, 5),
    ("MLflow's client, start to end with log_params and log_metrics of 10 (5 calls)", "ms", "batched", 3, 5),
    ("MLflow's client, start to end with 10 log_param and 10 log_metric (23 calls)", "ms", "single", 3, 5),
)
"""Name, unit, what `program.py` calls it, least ratio and aim, of what is asked through MLflow's own client."""
