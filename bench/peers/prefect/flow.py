"""The flows of the comparison in Prefect: ``flow.py chain|isolated|wide COUNT START``, or ``states``."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from prefect import flow, get_client, task
from prefect.cache_policies import INPUTS, TASK_SOURCE
from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterName
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner


def mark(letter: str) -> None:
    """Tell the comparison that a step begins or ends."""
    with Path(os.environ["LEDGER"]).open("a") as file:
        file.write(letter)


@task(cache_policy=INPUTS + TASK_SOURCE, persist_result=True)
def add(value: int) -> int:
    """Add one."""
    mark("+")
    mark("-")
    return value + 1


@task(name="wait", cache_policy=INPUTS + TASK_SOURCE, persist_result=True)
def wait(value: int) -> int:
    """Add one, slowly."""
    mark("+")
    time.sleep(0.2)
    mark("-")
    return value + 1


@flow
def chain(count: int, start: int) -> int:
    """Add one so many times."""
    value = start
    for _ in range(count):
        value = add(value)
    return value


@flow(task_runner=ProcessPoolTaskRunner(max_workers=2))
def isolated(count: int, start: int) -> int:
    """Add one so many times, each in a process of the pool."""
    value = start
    for _ in range(count):
        value = add.submit(value).result()
    return value


@flow(task_runner=ThreadPoolTaskRunner(max_workers=100))
def wide(count: int, start: int) -> int:
    """Add one to so many numbers side by side, and sum."""
    return sum(each.result() for each in wait.map(range(start, start + count)))


async def states() -> dict[str, int]:
    """Count the states of the slow step's runs."""
    found: Counter[str] = Counter()
    chosen = TaskRunFilter(name=TaskRunFilterName(like_="wait"))
    async with get_client() as client:
        offset = 0
        while rows := await client.read_task_runs(task_run_filter=chosen, limit=200, offset=offset):
            found.update(str(row.state_type.value) for row in rows if row.state_type)
            offset += len(rows)
    return dict(found)


if __name__ == "__main__":
    if sys.argv[1] == "states":
        print(json.dumps(asyncio.run(states())))
    else:
        kind, count, start = sys.argv[1:]
        print("answer", {"chain": chain, "isolated": isolated, "wide": wide}[kind](int(count), int(start)))
