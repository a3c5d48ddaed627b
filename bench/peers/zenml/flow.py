"""The flows of the comparison in ZenML: ``flow.py chain|wide COUNT START``, or ``states``."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from zenml import pipeline, step
from zenml.client import Client


def mark(letter: str) -> None:
    """Tell the comparison that a step begins or ends."""
    with Path(os.environ["LEDGER"]).open("a") as file:
        file.write(letter)


@step
def add(value: int) -> int:
    """Add one."""
    mark("+")
    mark("-")
    return value + 1


@step
def list_numbers(count: int, start: int) -> list[int]:
    """Return the numbers to map over."""
    return list(range(start, start + count))


@step
def wait(value: int) -> int:
    """Add one, slowly."""
    mark("+")
    time.sleep(0.2)
    mark("-")
    return value + 1


@pipeline
def chain(count: int, start: int) -> None:
    """Add one so many times."""
    value = start
    for _ in range(count):
        value = add(value)


@pipeline(dynamic=True)
def wide(count: int, start: int) -> None:
    """Add one to so many numbers side by side."""
    wait.map(value=list_numbers(count, start))


def answer(run: object, name: str) -> int:
    """Return what the last, or all, of the steps with this name returned."""
    steps = Client().get_pipeline_run(run.id).steps
    values = [each.output.load() for key, each in steps.items() if key.startswith(name)]
    return max(values) if name == "add" else sum(values)


def states() -> dict[str, int]:
    """Count the states of the slow step's runs."""
    found: Counter[str] = Counter()
    for run in Client().list_pipeline_runs(pipeline="wide"):
        found.update(str(each.status.value) for key, each in run.steps.items() if "wait" in key)
    return dict(found)


if __name__ == "__main__":
    if sys.argv[1] == "states":
        print(json.dumps(states()))
    else:
        kind, count, start = sys.argv[1:]
        run = {"chain": chain, "wide": wide}[kind](int(count), int(start))
        print("answer", answer(run, {"chain": "add", "wide": "wait"}[kind]))
