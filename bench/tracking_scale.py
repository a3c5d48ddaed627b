"""Fill one store with many runs and points, and ask its server for them: ``python -m bench.tracking_scale``.

On demand: 100,000 runs with 10 million points take some minutes and some gigabytes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection

from bench.processes import read_cpu_s
from bench.tracking.servers import Server, start_mainspring
from mainspring.domain.records import Run
from mainspring.store import experiments, runs, series
from mainspring.store.engine import dialect_of
from mainspring.store.homes import make_folders, place_home
from mainspring.store.schema import open_record

METRICS, PARAMS, TAGS = 10, 8, 3
LONG = 100_000
_TURN = 200
_open: dict[int, HTTPConnection] = {}
_AT = "/api/2.0/mlflow"


class Case(NamedTuple):
    """A query, and MLflow's figure for 10,000 runs on this kind of machine where there is one."""

    name: str
    path: str
    body: dict[str, Any]
    mlflow_ms: float | None = None


def list_cases(experiment: str, long_run: str) -> list[Case]:
    """Return what is asked."""

    def search(name: str, mlflow_ms: float | None, **fields: Any) -> Case:
        return Case(name, "runs/search", {"experiment_ids": [experiment], "max_results": 100, **fields}, mlflow_ms)

    both = "metrics.m3 > 0.5 AND params.p2 = '3'"
    three = "metrics.m1 > 0.2 AND metrics.m2 < 0.9 AND params.p4 = '5'"
    return [
        search("recent 100", 70),
        search("filter metric and param", 109, filter=both),
        search("order by metric", 105, order_by=["metrics.m3 DESC"]),
        search("3 filters, 2 orders", 149, filter=three, order_by=["metrics.m4 DESC", "params.p1 ASC"]),
        search("name LIKE", 90, filter="attributes.run_name LIKE 'run-%7'"),
        search("nothing found", None, filter="metrics.m3 > 2"),
        Case("history of 100,000 points", "metrics/get-history", {"run_id": long_run, "metric_key": "long"}, 3_380),
        Case(
            "320 points of 100,000",
            "metrics/get-history-bulk-interval",
            {"run_ids": long_run, "metric_key": "long", "max_results": 320},
            237,
        ),
    ]


def fill(home_folder: Path, count: int, points: int) -> tuple[str, float, float]:
    """Make a home with so many runs and points in it; return the long run, points a second, and the size in MB."""
    home = place_home(home_folder)
    make_folders(home)
    engine = open_record(home)
    source = random.Random(7)
    each = max(1, points // (count * METRICS))
    begun = time.perf_counter()
    with engine.connect() as connection:
        with connection.begin():
            number = experiments.add_experiment(connection, "default", "scale", 1.7e9, {}).number
            assert number == 1
        for first in range(0, count, _TURN):
            with connection.begin():
                for run in range(first, min(count, first + _TURN)):
                    _add_run(connection, run, each, source)
        long_run = f"{count - 1:032x}"
        with connection.begin():
            seq = runs.get_held(connection, long_run)[1].seq
            for first in range(0, LONG, 10_000):
                new = [("long", step, 1.7e9 + step, source.random()) for step in range(first, first + 10_000)]
                series.add_points(connection, seq, 1, new)
        spent_s = time.perf_counter() - begun
        with connection.begin():
            dialect_of(connection).optimize(connection)
        with connection.begin():
            size_mb = dialect_of(connection).size_bytes(connection, home) / 1e6
    engine.dispose()
    return long_run, (count * METRICS * each + LONG) / spent_s, size_mb


def _add_run(connection: Connection, number: int, each: int, source: random.Random) -> None:
    run = Run(f"{number:032x}", "default", "script", f"run-{number}", "succeeded", experiment="scale")
    run.params = {f"p{key}": str(source.randrange(10)) for key in range(PARAMS)}
    run.tags = {f"t{key}": f"v{source.randrange(10)}" for key in range(TAGS)}
    run.created_at = run.started_at = 1.7e9 + number
    run.ended_at = run.created_at + 60
    runs.add_run(connection, run)
    seq = runs.get_held(connection, run.id)[1].seq
    points = [
        (f"m{key}", step, run.created_at + step, source.random()) for key in range(METRICS) for step in range(each)
    ]
    series.add_points(connection, seq, 1, points)


def measure(server: Server, case: Case, repeats: int) -> tuple[float, float]:
    """Return the median of the milliseconds that an answer takes, and the mean CPU of the server in milliseconds."""
    spent, cpu_s = [], read_cpu_s(server.pids)
    for _ in range(repeats):
        begun = time.perf_counter()
        _ask(server, case.path, case.body)
        spent.append(1000 * (time.perf_counter() - begun))
    return statistics.median(spent), 1000 * (read_cpu_s(server.pids) - cpu_s) / repeats


def page_all(server: Server) -> tuple[int, float]:
    """Return how many runs there are in pages of 1,000, and the seconds that all pages take."""
    body: dict[str, Any] = {"experiment_ids": ["1"], "max_results": 1_000}
    begun, count = time.perf_counter(), 0
    while True:
        answer = _send(server, "runs/search", body)
        count += len(answer["runs"])
        if "next_page_token" not in answer:
            return count, time.perf_counter() - begun
        body["page_token"] = answer["next_page_token"]


def _send(server: Server, path: str, body: dict[str, Any]) -> Any:
    return json.loads(_ask(server, path, body))


def _ask(server: Server, path: str, body: dict[str, Any]) -> bytes:
    connection = _open.setdefault(server.port, HTTPConnection("127.0.0.1", server.port, timeout=600))
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    if path.startswith("runs/"):
        connection.request("POST", f"{_AT}/{path}", json.dumps(body), headers)
    else:
        query = "&".join(f"{name}={value}" for name, value in body.items())
        connection.request("GET", f"{_AT}/{path}?{query}", headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path} answered {answer.status}: {content[:500]!r}")
    return content


@contextmanager
def _make_record(kind: str) -> Iterator[str]:
    if kind == "sqlite":
        yield ""
        return
    from tests.support.postgresql import PostgresqlServer

    server = PostgresqlServer(fsync=True)
    try:
        yield server.make_database("scale")
    finally:
        server.close()


def main() -> None:
    """Fill, ask, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--points", type=int, default=10_000_000)
    parser.add_argument("--record", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--keep", type=Path, help="a home of an earlier call to use again, or to leave behind")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="scale-"))
    home = options.keep or folder / "home"
    with _make_record(options.record) as address:
        os.environ["MAINSPRING_RECORD"] = address
        if home.exists():
            long_run = f"{options.runs - 1:032x}"
        else:
            long_run, rate, size_mb = fill(home, options.runs, options.points)
            print(f"{options.record}: {options.runs:,} runs, {rate:,.0f} points/s, {size_mb:,.0f} MB", flush=True)
        server = start_mainspring(home, record=address)
        try:
            for case in list_cases("1", long_run):
                _send(server, case.path, case.body)
                spent, cpu = measure(server, case, options.repeats)
                known = case.mlflow_ms
                ratio = f", MLflow at 10,000 runs {known:,.0f}: {known / spent:.1f}x" if known else ""
                print(f"{case.name}: {spent:.1f} ms, {cpu:.1f} of CPU{ratio}", flush=True)
            count, spent_s = page_all(server)
            print(f"page through all {count:,}, 1,000 a page: {spent_s:.2f} s", flush=True)
        finally:
            server.end()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
