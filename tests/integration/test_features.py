"""Feature views: one definition for training and serving, and nothing from the future."""

from datetime import datetime, timedelta

import polars as pl
import pytest

import mainspring as ms
from mainspring.domain.messages import BeginRun
from mainspring.errors import Invalid
from mainspring.sdk.context import enter_run

START = datetime.fromisoformat("2020-01-01T00:00:00")


class Trip(ms.Contract):
    place: str
    leaves: datetime = ms.Field(event_time=True)


def hours(*numbers):
    return [START + timedelta(hours=number) for number in numbers]


def write_trips():
    return ms.write(pl.DataFrame({"place": ["a", "b", "a"], "leaves": hours(5, 5, 1.5)}), "trips", contract=Trip)


def write_weather(*more):
    rows = [("a", 0, 10.0), ("a", 4, 14.0), ("b", 0, 20.0), *more]
    frame = pl.DataFrame(
        {
            "place": [place for place, *_ in rows],
            "seen": hours(*(hour for _, hour, _ in rows)),
            "wind": [wind for *_, wind in rows],
        }
    )
    return ms.write(frame, "weather")


@ms.feature_view(source="weather", entity="place", event_time="seen", ttl="4h")
def weather_now(readings):
    return readings.select("place", "seen", "wind", strong=pl.col("wind") > 12)


@ms.feature_view
def calendar(rows):
    return rows.select(hour=pl.col("leaves").dt.hour())


def test_rows_get_what_was_known_and_what_they_say_themselves(client):
    write_weather()
    rows = write_trips().join(weather_now, calendar).polars()
    assert rows.columns == ["place", "leaves", "wind", "strong", "hour"]
    # b's reading of hour 0 is more than 4 h old at hour 5.
    assert rows.select("wind", "strong", "hour").rows() == [(14.0, True, 5), (None, None, 5), (10.0, False, 1)]


def test_serving_gives_what_training_gave(client):
    write_weather()
    trips = write_trips()
    trained = trips.join(weather_now, calendar).polars()
    for place in range(trained.height):
        request = trips.polars().slice(place, 1).to_dicts()
        served = calendar.apply(weather_now.apply(request, at="leaves"))
        assert served.equals(trained.slice(place, 1))
    at_once = weather_now.apply(trips.polars(), at=datetime.fromisoformat("2020-01-01T04:00:00Z"))
    assert at_once["wind"].to_list() == [14.0, 20.0, 14.0]


def test_poison_in_later_readings_leaves_features_identical(client):
    write_weather()
    clean = write_trips().join(weather_now).polars()
    write_weather(("a", 5.001, 999.0), ("b", 6, 999.0), ("a", 100, 999.0))
    assert ms.Dataset("weather").reference == "weather@2"
    assert write_trips().join(weather_now).polars().equals(clean)


def test_reading_that_was_known_late_is_not_used_before(client):
    frame = pl.DataFrame({"place": ["a", "a"], "seen": hours(0, 1), "known": hours(0, 3), "wind": [1.0, 2.0]})
    ms.write(frame, "weather")

    @ms.feature_view(source="weather", entity="place", event_time="seen", available_at="known")
    def wind(readings):
        return readings

    rows = wind.apply(pl.DataFrame({"place": ["a", "a"], "at": hours(2, 3)}), at="at")
    assert rows["wind"].to_list() == [1.0, 2.0]


def test_join_records_the_versions_it_read(client):
    weather, trips = write_weather(), write_trips()
    run = client.ask(BeginRun(kind="step", name="features")).run
    with enter_run(run, client):
        made = ms.write(ms.Dataset("trips").join(weather_now), "rows")
    assert set(made.version.inputs) == {weather.version.id, trips.version.id}
    assert made.event_time == "leaves"


def test_view_that_looks_ahead_is_refused(client):
    write_weather(("a", 9, 50.0))

    @ms.feature_view(source="weather", entity="place", event_time="seen")
    def strongest(readings):
        return readings.select("place", "seen", most=pl.col("wind").max())

    with pytest.raises(Invalid, match=r"DATA-017: strongest.most of row \d is another without the readings after"):
        write_trips().join(strongest).polars()


def test_view_that_looks_across_rows_is_refused(client):
    @ms.feature_view
    def crowd(rows):
        return rows.select(same=pl.len().over("place"))

    with pytest.raises(Invalid, match=r"DATA-017: crowd.same of row 1 is another when it is computed alone"):
        crowd.apply(pl.DataFrame({"place": ["a", "a"]}))


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"source": "weather"}, "go together"),
        ({"entity": "place", "event_time": "seen"}, "go together"),
        ({"source": "weather", "entity": "place", "event_time": "seen", "ttl": "3 moons"}, "RUN-003"),
    ],
)
def test_view_that_says_too_little_is_refused(given, problem):
    with pytest.raises(Invalid, match=problem):
        ms.feature_view(**given)(lambda readings: readings)


def test_views_that_cannot_be_computed_are_named(client):
    write_weather()
    trips = write_trips()

    def view(function, **given):
        function.__name__ = "v"
        return ms.feature_view(source="weather", entity="place", event_time="seen", **given)(function)

    def refuse(made, match, rows=trips, **given):
        with pytest.raises(Invalid, match=match):
            made.apply(rows.polars() if rows is trips else rows, **({"at": "leaves"} | given))

    refuse(view(lambda readings: readings.select("wind")), "DATA-016: view v gives wind, without place")
    refuse(view(lambda readings: 3), "DATA-016: view v gives int")
    refuse(
        view(lambda readings: readings.rename({"wind": "leaves"})), "DATA-016: view v gives 'leaves', which the rows"
    )
    refuse(weather_now, "DATA-016: nothing tells the time", at=None)
    refuse(weather_now, "DATA-005: at names column 'left'", at="left")
    refuse(weather_now, "DATA-005: view weather_now names column 'place'", rows=[{"leaves": START}])
    refuse(weather_now, "DATA-016: column 'leaves' holds Int64, which is no time", rows=[{"place": "a", "leaves": 3}])
    refuse(ms.feature_view(lambda rows: rows.head(1)), "gives 1 rows of features for 3 rows")


def test_view_stays_a_function_and_an_inert_value():
    frame = pl.LazyFrame({"leaves": hours(3)})
    assert calendar(frame).collect()["hour"].item() == 3
    assert weather_now.declaration().body == {
        "source": "weather", "entity": ["place"], "event": "seen", "available": None, "ttl_s": 14400.0,
    }  # fmt: skip


def features(trips: ms.Dataset) -> ms.Dataset:
    return ms.write(trips.join(weather_now, calendar), "rows")


def pinned(trips: ms.Dataset, weather: ms.Dataset) -> ms.Dataset:
    return ms.write(trips.join(weather_now, using=[weather]), "rows")


def list_reasons(name):
    return [run.record.reason for run in ms.runs(f"kind = step and name = {name}")][::-1]


def test_a_step_runs_again_when_a_source_it_followed_has_moved(client):
    step, trips = ms.step(features), write_trips()
    write_weather()
    first = step(trips)
    assert step(trips).reference == first.reference
    write_weather(("b", 4, 24.0))
    assert step(trips).reference != first.reference
    step(trips)
    reasons = list_reasons("features")
    assert reasons[0] == "first run of features"
    assert reasons[1].startswith("cached: ")
    assert reasons[2] == "ran again: weather was weather@1, is now weather@2"
    assert reasons[3].startswith("cached: ")


def test_a_step_that_is_handed_its_sources_follows_nothing(client):
    step, trips, weather = ms.step(pinned), write_trips(), write_weather()
    first = step(trips, weather)
    write_weather(("b", 4, 24.0))
    assert step(trips, weather).reference == first.reference
    again = step(trips, ms.Dataset("weather"))
    assert again.polars()["wind"].to_list() != first.polars()["wind"].to_list()
    reasons = list_reasons("pinned")
    assert [reason.partition(":")[0] for reason in reasons] == ["first run of pinned", "cached", "ran again"]


def test_a_source_that_no_view_reads_is_named(client):
    with pytest.raises(Invalid) as caught:
        write_trips().join(calendar, using=[write_weather()])
    assert caught.value.code == "DATA-016"
    assert "'weather'" in caught.value.what


def test_fingerprint_follows_the_code_of_views(client):
    from mainspring.pipelines.fingerprint import fingerprint

    found = fingerprint(features, {"trips": write_trips()})
    assert {label.rpartition(":")[2] for label in found.code} >= {"features()", "weather_now", "calendar()"}
