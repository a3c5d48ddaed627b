"""Steps of no work, timed from inside; prints one JSON object. Run by `bench.steps` in a fresh home."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mainspring as ms
from bench.processes import find_processes, read_cpu_s

HOME = Path(os.environ["MAINSPRING_HOME"])


@ms.step
def add(value: int, salt: int) -> dict[str, int]:
    """Return a small result."""
    return {"sum": value + salt}


@ms.pipeline
def inline(count: int, salt: int) -> None:
    """Call a step so many times, each with another input."""
    for value in range(count):
        add(value, salt)


@ms.pipeline
def isolated(count: int, salt: int) -> None:
    """Submit a step so many times, one after another, each with another input."""
    for value in range(count):
        add.submit(value, salt).result()


@ms.pipeline
def mapped(count: int, salt: int) -> None:
    """Map a step over so many inputs."""
    for future in add.map(range(count), salt=salt):
        future.result()


def spend(act: Callable[[], None], count: int) -> list[float]:
    """Return milliseconds a call: CPU of all processes of the home, of this script alone, and wall."""
    before = _read_clocks()
    act()
    return [1000 * (now - then) / count for now, then in zip(_read_clocks(), before, strict=True)]


def main(count: int, few: int) -> None:
    """Measure inline, cached, isolated and mapped calls."""
    inline(5, -1)
    facts = {"inline": spend(lambda: inline(count, 0), count), "cached": spend(lambda: inline(count, 0), count)}
    isolated(2, 1)
    facts["isolated"] = spend(lambda: isolated(few, 2), few)
    facts["mapped"] = spend(lambda: mapped(count, 3), count)
    print(json.dumps(facts))


def _read_clocks() -> tuple[float, float, float]:
    own = time.process_time()
    return own + read_cpu_s(find_processes(HOME)), own, time.perf_counter()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
