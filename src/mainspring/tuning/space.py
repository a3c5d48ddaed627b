"""What a search may choose: ranges and choices, and their JSON form."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
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


class Choice(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """One of the given values, without order.

    Attributes
    ----------
    values : tuple
        What may be chosen.
    below : tuple of Space
        For each value what else is to be chosen along with it; empty: never anything.
    """

    values: tuple[Any, ...]
    below: tuple[dict[str, Range | Choice], ...] = ()


Entry = Range | Choice
Space = dict[str, Entry]


def make_range(low: float, high: float, *, log: bool = False, step: float | None = None) -> Range:
    """Make a range after checking it.

    Raises
    ------
    Invalid
        TUNE-001 when the bounds are no range.
    """
    for number in (low, high, *(() if step is None else (step,))):
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise Invalid("TUNE-001", f"{number!r} is no number to search between")
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
    """Read what a user gave: ranges, sequences as choices, mappings as choices with a space below each.

    Raises
    ------
    Invalid
        TUNE-001 when an entry is none of them, or a name stands twice on the way to a point.
    """
    if not isinstance(space, Mapping) or not space:
        raise Invalid("TUNE-001", "the space is empty" if isinstance(space, Mapping) else f"{space!r} is no space")
    return _read_space(space)


def list_names(space: Space) -> list[str]:
    """Return every argument that a point of the space may have, in order."""
    names: dict[str, None] = {}
    for name, entry in space.items():
        names[name] = None
        for below in entry.below if isinstance(entry, Choice) else ():
            names |= dict.fromkeys(list_names(below))
    return list(names)


def walk(space: Space, choose: Callable[[str, str, Entry], Any], above: str = "") -> dict[str, Any]:
    """Make a point: ask for each entry that counts, those below a choice only when it was chosen.

    Parameters
    ----------
    space : Space
        What may be chosen.
    choose : callable
        Given the path of an entry, its name and the entry, returns a value of it. The path of what
        is below a choice holds the choice: ``kind=tree/depth``.
    above : str
        Path of the choice that the space is below.
    """
    point: dict[str, Any] = {}
    for name, entry in space.items():
        value = choose(f"{above}{name}", name, entry)
        point[name] = value
        if isinstance(entry, Choice) and entry.below:
            below = entry.below[entry.values.index(value)]
            point |= walk(below, choose, f"{above}{name}={value}/")
    return point


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
    return walk(space, lambda _path, _name, entry: draw_one(entry, generator))


def draw_one(entry: Entry, generator: random.Random) -> Any:
    """Draw a value of one entry evenly."""
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


def check_point(space: Space, point: Mapping[str, Any]) -> dict[str, Any]:
    """Return a point in the order of its space.

    Raises
    ------
    Invalid
        TUNE-001 when it is no point of the space; it tells what does not fit.
    """
    used: set[str] = set()

    def choose(_path: str, name: str, entry: Entry) -> Any:
        if name not in point:
            raise Invalid("TUNE-001", f"the point {dict(point)!r} has no {name}")
        used.add(name)
        if not _allows(entry, point[name]):
            raise Invalid("TUNE-001", f"{name}={point[name]!r} lies outside of the space")
        return point[name]

    found = walk(space, choose)
    for name in point:
        if name not in used:
            raise Invalid("TUNE-001", f"the point {dict(point)!r} has {name}, which is not chosen there")
    return found


def _allows(entry: Entry, value: Any) -> bool:
    if isinstance(entry, Choice):
        return any(type(each) is type(value) and each == value for each in entry.values)
    if isinstance(value, bool) or not isinstance(value, int | float) or (entry.whole and not isinstance(value, int)):
        return False
    if entry.step is not None:
        steps = (value - entry.low) / entry.step
        if abs(steps - round(steps)) > 1e-6 and value != entry.high:
            return False
    return entry.low <= value <= entry.high


def _read_space(space: Mapping[str, Any]) -> Space:
    read: Space = {}
    taken: set[str] = set()
    for name, entry in space.items():
        if not isinstance(name, str):
            raise Invalid("TUNE-001", f"{name!r} is no name of an argument")
        read[name] = _read(name, entry)
        names = list_names({name: read[name]})
        twice = [each for each in names if each in taken]
        if twice or any(name in below for below in _list_below(read[name])):
            raise Invalid("TUNE-001", f"{(twice or [name])[0]} would be chosen twice for one point")
        taken.update(names)
    return read


def _read(name: str, entry: Any) -> Entry:
    if isinstance(entry, Range | Choice):
        return entry
    if isinstance(entry, Mapping) and entry:
        for value, below in entry.items():
            if not isinstance(below, Mapping):
                raise Invalid("TUNE-001", f"{name}: below {value!r} stands {below!r}, which is no space")
        return Choice(tuple(entry), tuple(_read_space(below) for below in entry.values()))
    if isinstance(entry, Sequence) and not isinstance(entry, str) and entry:
        return Choice(tuple(entry))
    if type(entry).__module__.startswith("optuna."):
        return _read_distribution(name, entry)
    raise Invalid("TUNE-001", f"{name}={entry!r} is neither between(low, high) nor a list of choices")


def _read_distribution(name: str, entry: Any) -> Entry:
    """Read a distribution of Optuna by its fields; nothing is imported for it."""
    if hasattr(entry, "choices"):
        return Choice(tuple(entry.choices))
    if not hasattr(entry, "low"):
        raise Invalid("TUNE-001", f"{name}={entry!r} is no range and no choice")
    step = None if entry.log or (isinstance(entry.low, int) and entry.step == 1) else entry.step
    return make_range(entry.low, entry.high, log=entry.log, step=step)


def _list_below(entry: Entry) -> Iterator[list[str]]:
    for below in entry.below if isinstance(entry, Choice) else ():
        yield list_names(below)
