"""A script of three steps, none of which ran before. Run by `bench.steps` in a home whose owner runs."""

from __future__ import annotations

import time

import mainspring as ms


@ms.step
def read(count: int, salt: int) -> list[int]:
    """Return so many numbers."""
    return [salt + number for number in range(count)]


@ms.step
def add(numbers: list[int]) -> int:
    """Return their sum."""
    return sum(numbers)


@ms.step
def tell(total: int) -> dict[str, int]:
    """Return it by name."""
    return {"total": total}


@ms.pipeline
def train(salt: int) -> dict[str, int]:
    """Call one after the other."""
    return tell(add(read(100, salt)))


if __name__ == "__main__":
    train(time.time_ns())
