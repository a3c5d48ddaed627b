"""What a search may choose: ranges and choices, and their JSON form."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mainspring.domain.errors import Invalid


class Range(msgspec.Struct, frozen=True, tag=True):
    """Numbers from `low` to `high`, both included.

    Attributes
    ----------
    low, high : int or float
        Two ints make a range of ints.
    log : bool
        Draw evenly in the logarithm; `low` must then be above zero.
    step : int, float or None
        Distance between allowed values, counted from `low`; a whole one in a range of ints, None
        where `log`; None allows all.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    @property
    def whole(self) -> bool:
        """Whether the values are ints."""
        return isinstance(self.low, int) and isinstance(self.high, int)


class Choice(msgspec.Struct, frozen=True, tag=True):
    """One of the given values, without order."""

    values: tuple[Any, ...]


Space = dict[str, Range | Choice]


def make_range(low: float, high: float, *, log: bool = False, step: float | None = None) -> Range:
    """Make a range after checking it.

    Raises
    ------
    Invalid
        TUNE-001 when the bounds are no range.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise Invalid("TUNE-001", f"from {low} to {high} is no range")
    if log and low <= 0:
        raise Invalid("TUNE-001", f"a logarithmic range cannot start at {low}")
    if step is not None and not 0 < step <= high - low:
        raise Invalid("TUNE-001", f"a step of {step} does not fit from {low} to {high}")
    if step is not None and log:
        raise Invalid("TUNE-001", f"a logarithmic range has no step, not {step}")
    if isinstance(step, float) and not step.is_integer() and isinstance(low, int) and isinstance(high, int):
        raise Invalid("TUNE-001", f"whole numbers from {low} to {high} have no step of {step}")
    return Range(low, high, log, step)


def read_space(space: Mapping[str, Any]) -> Space:
    """Read what a user gave: ranges, and sequences as choices.

    Raises
    ------
    Invalid
        TUNE-001 when an entry is neither.
    """
    if not space:
        raise Invalid("TUNE-001", "the space is empty")
    return {name: _read(name, entry) for name, entry in space.items()}


def draw(space: Space, seed: str) -> dict[str, Any]:
    """Draw one point evenly.

    Parameters
    ----------
    space : Space
        What may be chosen.
    seed : str
        The same seed draws the same point.
    """
    generator = random.Random(seed)
    return {name: _draw(entry, generator) for name, entry in space.items()}


def _read(name: str, entry: Any) -> Range | Choice:
    if isinstance(entry, Range | Choice):
        return entry
    if isinstance(entry, Sequence) and not isinstance(entry, str) and entry:
        return Choice(tuple(entry))
    raise Invalid("TUNE-001", f"{name}={entry!r} is neither between(low, high) nor a list of choices")


def _draw(entry: Range | Choice, generator: random.Random) -> Any:
    if isinstance(entry, Choice):
        return generator.choice(entry.values)
    if entry.step is not None:
        count = int((entry.high - entry.low) / entry.step + 1e-9)
        value = min(entry.low + entry.step * generator.randint(0, count), entry.high)
        return int(value) if entry.whole else value
    if entry.log:
        value = math.exp(generator.uniform(math.log(entry.low), math.log(entry.high)))
        return min(max(round(value), entry.low), entry.high) if entry.whole else value
    if entry.whole:
        return generator.randint(int(entry.low), int(entry.high))
    return generator.uniform(entry.low, entry.high)
