"""What a user's program feels, through an unmodified client of MLflow. Run by MLflow's own Python, not by ours."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

from bench.processes import read_cpu_s

PARAMS = {f"p{number}": number for number in range(10)}
METRICS = {f"m{number}": float(number) for number in range(10)}


def main() -> None:
    """Print the calls a second of ``log_metric``, and the milliseconds of runs.

    Beside each stand the CPU of the server, whose processes are named, and the client's own, of a call or run.
    """
    import mlflow

    seconds, pids = float(sys.argv[1]), [int(each) for each in sys.argv[2:]]
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])

    def run_empty() -> None:
        with mlflow.start_run():
            pass

    def run_batched() -> None:
        with mlflow.start_run():
            mlflow.log_params(PARAMS)
            mlflow.log_metrics(METRICS)

    def run_single() -> None:
        with mlflow.start_run():
            for key, param in PARAMS.items():
                mlflow.log_param(key, param)
            for key, metric in METRICS.items():
                mlflow.log_metric(key, metric)

    run_single()  # what is done once in a process
    with mlflow.start_run():
        call_ms, *cpu_ms = _time(lambda: mlflow.log_metric("loss", 0.5), seconds, pids)
    told = {"log_metric": [1000 / call_ms, *cpu_ms]}
    for work, logged in ((run_empty, 0), (run_batched, 10), (run_single, 10)):
        told[work.__name__.removeprefix("run_")] = _time(work, seconds, pids)
        data = mlflow.get_run(mlflow.last_active_run().info.run_id).data
        assert len(data.params) == len(data.metrics) == logged, data
    print(json.dumps(told))


def _time(work: Callable[[], None], seconds: float, pids: list[int]) -> list[float]:
    """Return milliseconds of a call: wall, CPU of the server, CPU of this process."""
    begun, count = (time.perf_counter(), read_cpu_s(pids), time.process_time()), 0
    while time.perf_counter() - begun[0] < seconds:
        work()
        count += 1
    ended = (time.perf_counter(), read_cpu_s(pids), time.process_time())
    return [1000 * (after - before) / count for before, after in zip(begun, ended, strict=True)]


if __name__ == "__main__":
    main()
