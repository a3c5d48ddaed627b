"""The job `check` on a real home: datasets, a registered model, captured requests, outcomes."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mainspring as ms
from mainspring.domain.errors import Invalid
from mainspring.worker.jobs.check import run

START = datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None)
TRAINED_DAYS, LIVE_DAYS, ROWS = 40, 30, 120
UNTIL = (START + timedelta(days=TRAINED_DAYS + LIVE_DAYS)).replace(tzinfo=UTC).timestamp()
MONITOR = {"labels": "outcomes", "key": "parcel", "target": "late", "event_time": "at"}


class Parcel(ms.Contract):
    parcel: str = ms.Field(key=True)
    at: datetime = ms.Field(event_time=True)


def make_parcels(first_day, days, seed, *, odds=0.0, heavier=0.0):
    draw = np.random.default_rng(seed)
    count = days * ROWS
    weight, size = draw.normal(heavier, 1, count), draw.gamma(2.0, 1.0, count)
    chance = 1 / (1 + np.exp(2 - weight - size / 4 - odds))
    return pl.DataFrame(
        {
            "parcel": [f"p{first_day}-{number}" for number in range(count)],
            "at": [START + timedelta(days=first_day + number / ROWS) for number in range(count)],
            "weight": weight,
            "size": size,
            "late": draw.uniform(size=count) < chance,
        }
    )


@pytest.fixture
def model(client):
    """A model trained on forty days, and a service folder where nothing waits to be collected."""
    rows = ms.write(make_parcels(0, TRAINED_DAYS, 1), "parcels", contract=Parcel)
    features, late = rows.xy("late")
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, late.to_numpy())
    (client.home.services / "delays" / "capture").mkdir(parents=True)
    registered = ms.register(fitted, "delays", example=rows)
    return registered.reference, fitted


def answer(fitted, parcels, reference):
    """Write what the service would have captured."""
    score = fitted.predict_proba(parcels.select("weight", "size"))[:, 1]
    number = pl.Series(range(parcels.height))
    rows = parcels.select(
        request_id=pl.format("r{}-{}", pl.lit(parcels["parcel"][0]), number),
        row=pl.lit(0, pl.Int64),
        revision=pl.lit(1, pl.Int64),
        model=pl.lit(reference),
        answered_at=pl.lit(datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)),
        at=pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6f"),
        parcel="parcel",
        size="size",
        weight="weight",
        label=pl.Series(score > 0.5),
        probability=pl.Series(score.astype(np.float32)),
    )
    return ms.write(rows, "delays.requests", mode="append", key=["request_id", "row"])


def ask(client, reference, *, until=UNTIL, state=None, **monitor):
    body = ms.Monitor(**{**MONITOR, "cost": 20, **monitor}).body()
    arguments = {
        "service": "delays",
        "since": None,
        "until": until,
        "model": reference,
        "monitor": body,
        "state": state,
    }
    return run(msgspec.json.decode(msgspec.json.encode(arguments)), client)


def test_a_changed_world_is_found_and_a_second_check_says_the_same(client, model):
    reference, fitted = model
    live = make_parcels(TRAINED_DAYS, LIVE_DAYS, 2, odds=1.0, heavier=0.4)
    answer(fitted, live, reference)
    ms.write(live.select("parcel", "at", "late"), "outcomes", contract=Parcel)
    details = ask(client, reference)
    assert {(each["kind"], each["subject"]) for each in details["alarms"]} == {
        ("drift", "weight"), ("performance", "log_loss"), ("regret", "log_loss"),
    }  # fmt: skip
    assert details["decision"]["renew"]
    assert details["decision"]["evidence"]["rows_now"] == (TRAINED_DAYS + LIVE_DAYS) * ROWS
    assert details["performance"]["labelled"] == LIVE_DAYS * ROWS
    assert (
        details["performance"]["realised"]["log_loss"]["low"] > details["performance"]["estimated"]["log_loss"]["value"]
    )
    assert msgspec.json.encode(ask(client, reference)) == msgspec.json.encode(details)
    following = ask(client, reference, until=UNTIL + 3600, state=details["state"])
    assert following["alarms"] == []
    assert following["state"]["reference"] == details["state"]["reference"]


def test_rows_after_until_are_never_read(client, model):
    reference, fitted = model
    now = make_parcels(TRAINED_DAYS, LIVE_DAYS, 3)
    later = make_parcels(TRAINED_DAYS + LIVE_DAYS, 5, 4).with_columns(pl.col("at") + timedelta(seconds=1))
    answer(fitted, now, reference)
    ms.write(pl.concat([now, later]).select("parcel", "at", "late"), "outcomes", contract=Parcel)
    answer(fitted, later, reference)
    plain = ask(client, reference)
    poison = later.with_columns(weight=pl.lit(1e6), size=pl.lit(-1e6), late=~pl.col("late"))
    ms.write(pl.DataFrame(schema=ms.Dataset("delays.requests").schema), "delays.requests", key=["request_id", "row"])
    answer(fitted, now, reference)
    answer(fitted, poison, reference)
    ms.write(pl.concat([now, poison]).select("parcel", "at", "late"), "outcomes", contract=Parcel)
    assert ms.Dataset("delays.requests").polars()["weight"].max() == 1e6
    assert msgspec.json.encode(ask(client, reference)) == msgspec.json.encode(plain)


def test_before_the_first_request_there_is_nothing_to_decide(client, model):
    details = ask(client, model[0])
    assert details["alarms"] == []
    assert not details["decision"]["renew"]
    assert "nothing was asked" in details["decision"]["cause"]


def test_columns_that_are_not_there_are_named(client, model):
    reference, fitted = model
    live = make_parcels(TRAINED_DAYS, LIVE_DAYS, 5)
    answer(fitted, live, reference)
    ms.write(live.select("parcel", "at", "late"), "outcomes", contract=Parcel)
    for monitor, text in (
        ({"drift": ["height"]}, "'height'"),
        ({"target": "lost"}, "'lost'"),
        ({"event_time": "moment"}, "'moment'"),
    ):
        with pytest.raises(Invalid, match=text) as error:
            ask(client, reference, **monitor)
        assert error.value.code == "MON-001"


def test_labels_without_the_key_or_usable_outcomes_are_refused(client, model):
    reference, fitted = model
    live = make_parcels(TRAINED_DAYS, LIVE_DAYS, 6)
    answer(fitted, live, reference)
    ms.write(live.select("at", "late"), "outcomes")
    with pytest.raises(Invalid, match="no key 'parcel'") as error:
        ask(client, reference)
    assert error.value.code == "MON-004"
    ms.write(live.select("parcel", late=pl.col("late").cast(pl.String)), "outcomes")
    with pytest.raises(Invalid, match="'late'") as error:
        ask(client, reference)
    assert error.value.code == "MON-005"
    ms.write(live.select("parcel", late=pl.col("late").cast(pl.Float64) * 37.0), "outcomes")
    with pytest.raises(Invalid, match="hold 37 in 'late'") as error:
        ask(client, reference)
    assert error.value.code == "MON-005"
    ms.write(pl.concat([live, live[:1]]).select("parcel", "at", "late"), "outcomes")
    with pytest.raises(Invalid, match="more than once") as error:
        ask(client, reference)
    assert error.value.code == "MON-004"


def test_a_reference_too_short_or_without_time_is_refused(client):
    (client.home.services / "delays" / "capture").mkdir(parents=True)
    short = make_parcels(0, 10, 7)
    fitted = LogisticRegression().fit(short.select("weight", "size"), short["late"].to_numpy())
    rows = ms.write(short, "parcels", contract=Parcel)
    with pytest.raises(Invalid, match="10 blocks") as error:
        ask(client, ms.register(fitted, "delays", example=rows).reference)
    assert error.value.code == "MON-003"
    untimed = ms.write(short.drop("at"), "untimed")
    with pytest.raises(Invalid, match="event time") as error:
        ask(client, ms.register(fitted, "others", example=untimed).reference)
    assert error.value.code == "MON-007"
    with pytest.raises(Invalid, match="trained on") as error:
        ask(client, ms.register(fitted, "unknown", example=short.select("weight", "size")).reference)
    assert error.value.code == "MON-007"


def test_a_time_that_is_none_is_named(client, model):
    reference, fitted = model
    answer(fitted, make_parcels(TRAINED_DAYS, LIVE_DAYS, 8), reference)
    asked = ms.Dataset("delays.requests").polars()
    untimed = asked.with_columns(at=pl.when(pl.int_range(pl.len()) % 2 == 0).then("at"))
    ms.write(untimed, "delays.requests", key=["request_id", "row"])
    assert ask(client, reference)["performance"]["requests"] == LIVE_DAYS * ROWS / 2
    ms.write(asked.with_columns(at=pl.lit("yesterday")), "delays.requests", key=["request_id", "row"])
    with pytest.raises(Invalid, match="'yesterday'") as error:
        ask(client, reference)
    assert error.value.code == "MON-005"
