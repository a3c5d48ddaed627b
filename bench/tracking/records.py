"""What stands in a record before it is asked: ten thousand runs, and one long series."""

from __future__ import annotations

import json
import random
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

from bench.tracking.asking import ask, drive, write_request
from bench.tracking.servers import Server

METRICS = 10
PARAMS = 8
TAGS = 3
_SEED = 17
_BATCH = 1_000
_RUNS = "/api/2.0/mlflow/runs"


class Seeded(NamedTuple):
    """What a record holds.

    Attributes
    ----------
    experiment : str
        Id of the experiment with the runs.
    run_ids : list of str
        Its runs.
    long_run : str
        A run with a long series ``loss``.
    """

    experiment: str
    run_ids: list[str]
    long_run: str


class _Told(NamedTuple):
    """What one run has logged."""

    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]


def seed(server: Server, runs: int, points: int) -> Seeded:
    """Fill a record: by SQL where the server is MLflow, whose own calls would take minutes, else by calls."""
    found = ask(server, "POST", "/api/2.0/mlflow/experiments/create", {"name": f"seeded {secrets.token_hex(4)}"})
    experiment = str(found["experiment_id"])
    database = server.folder / "mlflow.db"
    ids = _seed_by_sql(database, experiment, runs) if database.exists() else _seed_by_calls(server, experiment, runs)
    return Seeded(experiment, ids, _log_series(server, points))


def _describe_runs(runs: int) -> Iterator[_Told]:
    """Yield the same runs for each server."""
    chance = random.Random(_SEED)
    for number in range(runs):
        yield _Told(
            {f"m{key}": chance.random() for key in range(METRICS)},
            {f"p{key}": str(chance.randrange(8)) for key in range(PARAMS)},
            {"team": chance.choice(["air", "rail", "road"]), "stage": str(number % 4), "note": f"run {number}"},
        )


def _seed_by_calls(server: Server, experiment: str, runs: int) -> list[str]:
    begun = int(time.time() * 1000) - runs * 1000
    creating = (
        {"experiment_id": experiment, "start_time": begun + 1000 * number, "run_name": f"seeded {number}"}
        for number in range(runs)
    )
    made = drive(
        server,
        lambda: write_request(server, "POST", f"{_RUNS}/create", next(creating)),
        connections=8,
        calls=runs,
        seconds=600,
        keep=True,
    )
    ids = [json.loads(body)["run"]["info"]["run_id"] for body in made.bodies]
    telling = (
        {
            "run_id": run_id,
            "metrics": [{"key": key, "value": value, "timestamp": begun} for key, value in told.metrics.items()],
            "params": [{"key": key, "value": value} for key, value in told.params.items()],
            "tags": [{"key": key, "value": value} for key, value in told.tags.items()],
        }
        for run_id, told in zip(ids, _describe_runs(runs), strict=True)
    )
    drive(
        server,
        lambda: write_request(server, "POST", f"{_RUNS}/log-batch", next(telling)),
        connections=8,
        calls=runs,
        seconds=600,
    )
    return ids


def _seed_by_sql(database: object, experiment: str, runs: int) -> list[str]:
    """Write the rows that MLflow 3.17 would, and gather the statistics that it never asks for."""
    begun = int(time.time() * 1000) - runs * 1000
    ids = [secrets.token_hex(16) for _ in range(runs)]
    with closing(sqlite3.connect(str(database), timeout=60)) as connection, connection:
        for number, (run_id, told) in enumerate(zip(ids, _describe_runs(runs), strict=True)):
            started = begun + 1000 * number
            place = f"mlflow-artifacts:/{experiment}/{run_id}/artifacts"
            connection.execute(
                "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status,"
                " start_time, end_time, source_version, lifecycle_stage, artifact_uri, experiment_id) VALUES"
                " (?, ?, 'UNKNOWN', '', '', 'bench', 'RUNNING', ?, NULL, '', 'active', ?, ?)",
                (run_id, f"seeded {number}", started, place, int(experiment)),
            )
            connection.executemany(
                "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, 0, 0)",
                [(key, value, begun, run_id) for key, value in told.metrics.items()],
            )
            connection.executemany(
                "INSERT INTO latest_metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, 0, 0)",
                [(key, value, begun, run_id) for key, value in told.metrics.items()],
            )
            for table, pairs in (("params", told.params), ("tags", told.tags | {"mlflow.runName": f"seeded {number}"})):
                connection.executemany(
                    f"INSERT INTO {table} (key, value, run_uuid) VALUES (?, ?, ?)",
                    [(key, value, run_id) for key, value in pairs.items()],
                )
        connection.execute("ANALYZE")
    return ids


def _log_series(server: Server, points: int) -> str:
    made = ask(server, "POST", f"{_RUNS}/create", {"experiment_id": "0", "start_time": int(time.time() * 1000)})
    run_id: str = made["run"]["info"]["run_id"]
    chance = random.Random(_SEED)
    begun = int(time.time() * 1000)
    firsts = iter(range(0, points, _BATCH))

    def make() -> bytes:
        first = next(firsts)
        logged = [
            {"key": "loss", "value": chance.random(), "timestamp": begun + step, "step": step}
            for step in range(first, min(first + _BATCH, points))
        ]
        return write_request(server, "POST", f"{_RUNS}/log-batch", {"run_id": run_id, "metrics": logged})

    drive(server, make, calls=-(-points // _BATCH), seconds=600)
    return run_id
