"""Schedules of cron against a walk over every minute, and what clocks that jump do to them."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.domain.errors import Invalid
from mainspring.pipelines.schedules import next_fire, parse_cron

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour
    "America/Havana",  # at midnight
    "Asia/Kathmandu",
    "Pacific/Apia",  # a day that never was, in 2011
    "Antarctica/Casey",  # three hours, in 2018
)
DAY = 86_400


def stamp(text, zone="UTC"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def show(moment, zone="UTC"):
    return None if moment is None else datetime.fromtimestamp(moment, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M%z")


def field(low, high):
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.integers(1, high).map(lambda by: f"*/{by}")
    part = st.one_of(number.map(str), span)
    return st.one_of(st.just("*"), st.just("*"), step, st.lists(part, min_size=1, max_size=3).map(",".join))


EXPRESSIONS = st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)).map(" ".join)


def walk(expression, zone, since, until):
    """Return when it fires, by looking at every minute: what clocks show, first showing first."""
    schedule = parse_cron(expression)
    found, missed, seen = set(), False, set()
    moment = since - DAY
    before = None
    while moment < until:
        wall = datetime.fromtimestamp(moment, ZoneInfo(zone)).replace(tzinfo=None)
        if before is not None and wall - before > timedelta(minutes=1):
            left_out = [before + timedelta(minutes=n) for n in range(1, int((wall - before).total_seconds() // 60))]
            missed = any(is_shown(schedule, each) for each in left_out)
        again = wall in seen and len(schedule.hours) < 24
        if missed or (is_shown(schedule, wall) and not again):
            found.add(moment)
        missed = False
        seen.add(wall)
        before = wall
        moment += 60
    return sorted(each for each in found if since < each < until)


def is_shown(schedule, wall):
    return schedule.has(wall.date()) and wall.hour in schedule.hours and wall.minute in schedule.minutes


JUMPS = st.sampled_from(
    [
        ("Europe/Berlin", "2026-03-29T00:00"),
        ("Europe/Berlin", "2026-10-25T00:00"),
        ("America/New_York", "2026-03-08T00:00"),
        ("America/New_York", "2026-11-01T00:00"),
        ("Australia/Lord_Howe", "2026-04-04T10:00"),
        ("Australia/Lord_Howe", "2026-10-03T10:00"),
        ("America/Havana", "2026-03-08T00:00"),
        ("America/Havana", "2026-11-01T00:00"),
        ("Pacific/Apia", "2011-12-30T00:00"),
        ("Antarctica/Casey", "2018-03-10T10:00"),
        ("UTC", "2026-02-27T12:00"),
        ("Asia/Kathmandu", "2026-12-31T12:00"),
    ]
)


@settings(max_examples=25, deadline=None)
@given(EXPRESSIONS, JUMPS, st.integers(0, 300))
def test_it_fires_when_a_walk_over_every_minute_says_so(expression, jump, minutes):
    zone, begin = jump
    since = stamp(begin) + 60 * minutes
    until = since + DAY
    fired, moment = [], since
    while len(fired) < 200 and (moment := next_fire(expression, zone, moment)) is not None and moment < until:
        fired.append(moment)
    assert fired == walk(expression, zone, since, until)[:200], (expression, zone)


@settings(max_examples=100, deadline=None)
@given(EXPRESSIONS, st.sampled_from(ZONES), st.integers(0, 2**32), st.integers(0, 3 * DAY))
def test_the_next_one_is_later_and_nothing_lies_between(expression, zone, after, step):
    first = next_fire(expression, zone, float(after))
    assert first > after
    assert next_fire(expression, zone, min(after + step, first - 1)) == first
    assert parse_cron(expression).has(datetime.fromtimestamp(first, ZoneInfo(zone)).date()) or zone == "Pacific/Apia"


@settings(max_examples=300, deadline=None)
@given(st.text("0123456789*/-,@ adimnostuy\x00٣", max_size=30))
def test_any_text_is_a_schedule_or_one_clear_error(text):
    try:
        found = next_fire(text, "UTC", 0.0)
    except Invalid as error:
        found, told = 1.0, error.code
    else:
        told = "TRIGGER-001"
    assert found > 0
    assert told in {"TRIGGER-001", "TRIGGER-002"}


def test_an_hour_that_is_left_out_fires_once_right_after_the_gap():
    fired = next_fire("30 2 * * *", "Europe/Berlin", stamp("2026-03-28T12:00"))
    assert show(fired, "Europe/Berlin") == "2026-03-29 03:00+0200"
    assert show(next_fire("30 2 * * *", "Europe/Berlin", fired), "Europe/Berlin") == "2026-03-30 02:30+0200"
    both = next_fire("0,15,30 2 * * *", "Europe/Berlin", stamp("2026-03-28T12:00"))
    assert both == fired
    assert show(next_fire("0,15,30 2 * * *", "Europe/Berlin", both), "Europe/Berlin") == "2026-03-30 02:00+0200"


def test_an_hour_that_is_shown_twice_fires_once_unless_no_hour_is_named():
    first = next_fire("30 2 * * *", "Europe/Berlin", stamp("2026-10-24T12:00"))
    assert show(first, "Europe/Berlin") == "2026-10-25 02:30+0200"
    assert show(next_fire("30 2 * * *", "Europe/Berlin", first), "Europe/Berlin") == "2026-10-26 02:30+0100"
    assert next_fire("30 * * * *", "Europe/Berlin", first) == first + 3600


@pytest.mark.parametrize(
    ("expression", "after", "wanted"),
    [
        ("0 6 1 * *", "2026-11-21T19:00", "2026-12-01 06:00+0000"),
        ("0 0 29 2 *", "2096-03-01T00:00", "2104-02-29 00:00+0000"),
        ("*/15 9-17 * * mon-fri", "2026-11-20T17:45", "2026-11-23 09:00+0000"),
        ("0 0 13 * fri", "2026-11-21T00:00", "2026-11-27 00:00+0000"),
        ("0 0 */13 * fri", "2026-11-21T00:00", "2026-11-27 00:00+0000"),
        ("5/20 0 * JAN,feb 7", "2026-11-21T00:00", "2027-01-03 00:05+0000"),
        ("0 12 * * fri-sun", "2026-11-21T13:00", "2026-11-22 12:00+0000"),
        ("@weekly", "2026-11-21T00:00", "2026-11-22 00:00+0000"),
        ("@Monthly", "2026-11-21T00:00", "2026-12-01 00:00+0000"),
    ],
)
def test_expressions_mean_what_cron_means(expression, after, wanted):
    assert show(next_fire(expression, "UTC", stamp(after))) == wanted


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30-31 feb *"])
def test_a_schedule_that_never_fires_is_refused(expression):
    with pytest.raises(Invalid, match=r"TRIGGER-002.*never fires: .* has no day 3[01]"):
        parse_cron(expression)
    assert next_fire("0 0 30 2 mon", "UTC", 0.0) is not None  # either day will do


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("61 * * * *", "'61' is no minute"),
        ("* 5-3 * * *", "'5-3' is no hour"),
        ("* * * foo *", "'foo' is no month"),
        ("*/0 * * * *", r"'\*/0' is no minute"),
        ("* * * *", "has 4 fields"),
        ("0 0 0 * * *", "has 6 fields"),
        ("@reboot", "has 1 fields"),
        ("", "has 0 fields"),
    ],
)
def test_what_is_no_expression_is_told_with_its_field(expression, what):
    with pytest.raises(Invalid, match=f"TRIGGER-001.*{what}"):
        parse_cron(expression)


@pytest.mark.parametrize("zone", ["Mars/Phobos", "../../etc/passwd", "Europe", "", "\x00", "x" * 300])
def test_what_is_no_time_zone_is_named(zone):
    with pytest.raises(Invalid, match="TRIGGER-003"):
        next_fire("@daily", zone, 0.0)


def test_the_end_of_the_calendar_ends_a_schedule():
    assert next_fire("@yearly", "UTC", stamp("9999-06-01T00:00")) is None
    assert next_fire("@yearly", "UTC", 1e300) is None
