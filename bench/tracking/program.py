"""What a user's program feels, through an unmodified client of MLflow. Run by MLflow's own Python, not by ours."""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    """Print the calls a second of ``log_metric``, and the milliseconds of a run from start to end."""
    import mlflow

    seconds = float(sys.argv[1])
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    with mlflow.start_run():  # what is done once in a process
        mlflow.log_metric("warm", 1.0)
    with mlflow.start_run():
        begun, count = time.perf_counter(), 0
        while time.perf_counter() - begun < seconds:
            mlflow.log_metric("loss", count / 7, step=count)
            count += 1
        rate = count / (time.perf_counter() - begun)
    begun, runs = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        with mlflow.start_run():
            for number in range(10):
                mlflow.log_param(f"p{number}", number)
            for number in range(10):
                mlflow.log_metric(f"m{number}", number)
        runs += 1
    run_ms = 1000 * (time.perf_counter() - begun) / runs
    found = mlflow.get_run(mlflow.last_active_run().info.run_id)
    assert len(found.data.params) == len(found.data.metrics) == 10, found.data
    print(json.dumps({"log_metric": rate, "run_ms": run_ms}))


if __name__ == "__main__":
    main()
