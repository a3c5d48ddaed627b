"""Schedules: expressions of cron, and when they fire next in a time zone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache

import msgspec

from mainspring.domain.errors import Invalid

WORDS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""Word -> the expression that it stands for."""

_MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6,
    "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
}  # fmt: skip
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of each month in a leap year."""

_DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)
_PART = re.compile(r"(?:\*|(\w{1,3})(?:-(\w{1,3}))?)(?:/(\d{1,3}))?\Z", re.ASCII)
_MOST_LETTERS = 200
_YEARS = 41
"""A 29th of February on a certain day of the week comes back after at most 40 years."""

_SHIFT = timedelta(hours=4)
"""No clock of the time-zone database is put back by more in our time (Casey in 2018: three hours)."""


class Schedule(msgspec.Struct, frozen=True):
    """What an expression says.

    Attributes
    ----------
    minutes, hours, days, months, weekdays : frozenset of int
        Values that match; Sunday is 0.
    either : bool
        Both the day of the month and the day of the week are restricted: one of them must match.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def has(self, day: date) -> bool:
        """Tell whether it fires on a day."""
        if day.month not in self.months:
            return False
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return in_month or in_week if self.either else in_month and in_week


@lru_cache(maxsize=1024)
def parse_cron(expression: str) -> Schedule:
    """Read an expression of cron.

    Parameters
    ----------
    expression : str
        Minute, hour, day of the month, month, day of the week: numbers, names of months and days,
        ``*``, ranges, steps and lists of these; or a word of `WORDS`. When both days are
        restricted (neither begins with ``*``), either may match, as in every cron since Vixie's.

    Returns
    -------
    Schedule
        What it says.

    Raises
    ------
    Invalid
        TRIGGER-001 naming the field that cannot be read; TRIGGER-002 when no day ever matches.

    Examples
    --------
    >>> sorted(parse_cron("*/20 6 * * mon-wed").minutes), sorted(parse_cron("0 6 * * mon-wed").weekdays)
    ([0, 20, 40], [1, 2, 3])
    >>> parse_cron("@daily") == parse_cron("0 0 * * *")
    True
    """
    if not isinstance(expression, str):
        raise Invalid("TRIGGER-001", f"{expression!r:.100} is no text")
    fields = WORDS.get(expression.strip().lower(), expression).lower().split()
    if len(fields) != len(_FIELDS) or len(expression) > _MOST_LETTERS:
        what = f"{expression[:_MOST_LETTERS]!r} has {len(fields)} fields, not five, and is none of {', '.join(WORDS)}"
        raise Invalid("TRIGGER-001", what, expression=expression[:_MOST_LETTERS])
    minutes, hours, days, months, weekdays = (
        _read_field(expression, text, *about) for text, about in zip(fields, _FIELDS, strict=True)
    )
    weekdays = frozenset(number % 7 for number in weekdays)
    either = not (fields[2].startswith("*") or fields[4].startswith("*"))
    schedule = Schedule(minutes, hours, days, months, weekdays, either)
    if not either and not any(min(days) <= _LONGEST[month - 1] for month in months):
        names = ", ".join(name for name, month in _MONTHS.items() if month in months)
        what = f"{expression!r} never fires: {names} has no day {min(days)}"
        raise Invalid("TRIGGER-002", what, expression=expression)
    return schedule


@lru_cache(maxsize=1024)
def find_zone(name: str) -> tzinfo:
    """Return a time zone of the IANA database; UTC needs none.

    Raises
    ------
    Invalid
        TRIGGER-003 when there is none of that name.
    """
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo  # reads how Python was built; few homes have schedules

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Invalid("TRIGGER-003", f"no time zone is called {name[:100]!r}", zone=name[:100]) from None


def next_fire(expression: str, tz: str, after: float) -> float | None:
    """Return when a schedule fires next.

    Parameters
    ----------
    expression : str
        As for `parse_cron`.
    tz : str
        Time zone whose clocks it follows, such as ``Europe/Berlin``.
    after : float
        Seconds since 1970 UTC; the answer is later.

    Returns
    -------
    float or None
        Seconds since 1970 UTC, a whole minute of the zone; None when the calendar ends before.

    Raises
    ------
    Invalid
        TRIGGER-001, TRIGGER-002 or TRIGGER-003.

    Notes
    -----
    Guarantees: pure. What the clocks leave out when they are put forward fires once, the moment
    after the gap. What they show twice fires the first time only, unless the schedule names no
    hour (``*/10 * * * *``): that one counts on through both.

    Examples
    --------
    >>> night = datetime(2026, 3, 29, tzinfo=UTC).timestamp()
    >>> str(datetime.fromtimestamp(next_fire("30 2 * * *", "Europe/Berlin", night), UTC))
    '2026-03-29 01:00:00+00:00'
    """
    schedule, zone = parse_cron(expression), find_zone(tz)
    try:
        wall = datetime.fromtimestamp(after, zone).replace(tzinfo=None)
        if _is_steady(zone, after):
            first = next((each for each in _list_walls(schedule, wall) if each > wall), None)
            if first is None:
                return None
            if first - wall < _SHIFT:
                return after + (first - wall).total_seconds()
        return _find_first(schedule, zone, wall - _SHIFT, after)
    except (OverflowError, OSError, ValueError):  # beyond the years that Python's calendar has
        return None


def _is_steady(zone: tzinfo, moment: float) -> bool:
    """Tell whether no clock is put forward or back around a moment, so that walls and moments go alike."""
    shift_s = _SHIFT.total_seconds()
    around = (moment - shift_s, moment, moment + 2 * shift_s)
    return len({datetime.fromtimestamp(each, zone).utcoffset() for each in around}) == 1


def _find_first(schedule: Schedule, zone: tzinfo, since: datetime, after: float) -> float | None:
    """Return the earliest moment behind `after`; where clocks are put back, later walls may come before."""
    best: float | None = None
    until: datetime | None = None
    for wall in _list_walls(schedule, since):
        if until is not None and wall > until:
            break
        for moment in _list_moments(schedule, zone, wall):
            if moment > after and (best is None or moment < best):
                best = moment
                until = until or wall + _SHIFT
    return best


def _list_walls(schedule: Schedule, since: datetime) -> Iterator[datetime]:
    """Yield what clocks on a wall show when the schedule matches, from a moment on."""
    hours, minutes = sorted(schedule.hours), sorted(schedule.minutes)
    day = since.date()
    while day.year <= since.year + _YEARS:
        if schedule.has(day):
            for hour in hours:
                for minute in minutes:
                    wall = datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001 - a clock on a wall
                    if wall >= since:
                        yield wall
        day += timedelta(days=1)


def _list_moments(schedule: Schedule, zone: tzinfo, wall: datetime) -> Iterator[float]:
    """Yield when the clocks show a time: once, twice, or the moment after the gap that leaves it out."""
    first, second = (_read_moment(wall, zone, fold) for fold in (0, 1))
    if datetime.fromtimestamp(first, zone).replace(tzinfo=None) != wall:
        yield _end_gap(zone, second, first)
        return
    yield first
    if second != first and len(schedule.hours) == 24:
        yield second


def _read_moment(wall: datetime, zone: tzinfo, fold: int) -> float:
    return wall.replace(tzinfo=zone, fold=fold).astimezone(UTC).timestamp()


def _end_gap(zone: tzinfo, before: float, behind: float) -> float:
    """Return the second at which the clocks were put forward, between two moments around it."""
    low, high = int(before), int(behind)
    offset = datetime.fromtimestamp(high, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            high = middle
        else:
            low = middle
    return float(high)


def _read_field(expression: str, text: str, name: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        values = _read_part(part, low, high, names)
        if not values:
            known = f"{low} to {high}" + (f", {', '.join(names)}" if names else "")
            raise Invalid("TRIGGER-001", f"{expression!r}: {part!r} is no {name} ({known})", expression=expression)
        found.update(values)
    return frozenset(found)


def _read_part(part: str, low: int, high: int, names: dict[str, int]) -> range:
    """Return what a part of a list stands for; nothing when it cannot be read."""
    match = _PART.match(part)
    if match is None:
        return range(0)
    begin, end, step = low, high, int(match[3] or 1)
    if match[1] is not None:
        begin = _read_number(match[1], names)
        # `5/10` counts on to the end, as in every cron; a week may end with its Sunday.
        end = high if match[3] else begin
        if match[2] is not None:
            end = 7 if match[2] == "sun" else _read_number(match[2], names)
    return range(begin, end + 1, step) if low <= begin <= end <= high and step > 0 else range(0)


def _read_number(text: str, names: dict[str, int]) -> int:
    return names.get(text, int(text) if text.isdecimal() else -1)
