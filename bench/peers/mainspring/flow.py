"""The flows of the comparison in Mainspring: ``flow.py chain|isolated|wide COUNT START``, or ``states NAME``."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

import mainspring as ms


def mark(letter: str) -> None:
    """Tell the comparison that a step begins or ends."""
    with Path(os.environ["LEDGER"]).open("a") as file:
        file.write(letter)


@ms.step
def add(value: int) -> int:
    """Add one."""
    mark("+")
    mark("-")
    return value + 1


@ms.step(cpus=0.02)
def wait(value: int) -> int:
    """Add one, slowly."""
    mark("+")
    time.sleep(0.2)
    mark("-")
    return value + 1


@ms.pipeline
def chain(count: int, start: int) -> int:
    """Add one so many times."""
    value = start
    for _ in range(count):
        value = add(value)
    return value


@ms.pipeline
def isolated(count: int, start: int) -> int:
    """Add one so many times, each in a worker."""
    value = start
    for _ in range(count):
        value = add.submit(value).result()
    return value


@ms.pipeline
def wide(count: int, start: int) -> int:
    """Add one to so many numbers side by side, and sum."""
    return sum(each.result() for each in wait.map(range(start, start + count)))


def states() -> dict[str, int]:
    """Count the states of the slow step's runs."""
    return dict(Counter(run.state for run in ms.runs("name = 'wait'", limit=5000)))


if __name__ == "__main__":
    if sys.argv[1] == "states":
        print(json.dumps(states()))
    else:
        kind, count, start = sys.argv[1:]
        print("answer", globals()[kind](int(count), int(start)))
