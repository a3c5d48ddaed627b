"""Will this flight arrive more than 30 minutes late?          python flights.py"""

from pathlib import Path

import polars as pl
from boosting import make_model, set_trees
from contracts import Flight, Outcome, Weather
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline

import mainspring as ms

WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
RATES = {"carrier_rate": ["carrier"], "route_rate": ["origin", "dest"], "hour_rate": ["origin", "hour"]}
TEXTS, NUMBERS = ["carrier", "origin"], ["minute", "weekday", "distance", *WEATHER, *RATES]


@ms.feature_view  # from the row itself; one definition for training and for serving
def calendar(rows):
    hour, minute = pl.col("local").dt.hour(), pl.col("local").dt.minute()
    return rows.select(hour=hour, minute=hour.cast(pl.Int32) * 60 + minute, weekday=pl.col("local").dt.weekday())


@ms.feature_view(source="weather", entity="origin", event_time="observed_at", ttl="3h")
def weather_now(readings):  # as of the row's time, never a later reading
    return readings.select("origin", "observed_at", *WEATHER)


VIEWS = [calendar, weather_now]  # and how late the last month was whose truth is released:
VIEWS += [ms.feature_view(source=it, entity=by, event_time="released")(lambda rates: rates) for it, by in RATES.items()]


@ms.step
def ingest(folder: Path) -> tuple[ms.Dataset, ms.Dataset, ms.Dataset]:
    weather = ms.write(ms.source(f"{folder}/weather*.csv", na="NA"), "weather", contract=Weather)
    truth = ms.source(f"{folder}/outcomes*.csv", na="NA").read().with_columns(late=pl.col("arr_delay") > 30)
    outcomes = ms.write(truth, "outcomes", contract=Outcome)
    return ms.write(ms.source(f"{folder}/flights*.csv"), "flights", contract=Flight), outcomes, weather


@ms.step
def history(flights: ms.Dataset, outcomes: ms.Dataset) -> list[ms.Dataset]:
    rows = calendar.apply(flights.polars()).join(outcomes.polars().select("flight_id", "late"), on="flight_id")
    rows = rows.with_columns(released=pl.col("local").dt.truncate("1mo").dt.offset_by("1mo5h"))  # the month is over
    rate = (pl.col("late").sum() + 50 * pl.col("usual").first()) / (pl.len() + 50)
    months = rows.with_columns(usual=pl.col("late").mean().over("released")).group_by
    return [ms.write(months(*by, "released").agg(rate.alias(it)).sort(*by, "released"), it) for it, by in RATES.items()]


@ms.step
def features(flights: ms.Dataset, outcomes: ms.Dataset, readings: list[ms.Dataset]) -> ms.Dataset:
    rows = flights.join(*VIEWS, using=readings).polars()
    rows = rows.join(outcomes.polars().select("flight_id", "late"), on="flight_id")
    return ms.write(rows.select("flight_id", "scheduled", "hour", *TEXTS, *NUMBERS, "late"), "flight_rows")


@ms.step
def fit(
    rows: ms.Dataset, hold: str, rate: float = 0.06, leaves: int = 26, samples: int = 80, l2: float = 3.0
) -> Pipeline:
    train, valid = (part.polars() for part in rows.split(last=hold)) if hold else (rows.polars(), None)
    model = make_model(TEXTS, NUMBERS, rate, leaves, samples, l2)
    for trees in range(20, 101, 20) if hold else [100]:
        set_trees(model, trees).fit(train.select(TEXTS + NUMBERS), train["late"].to_numpy())
        if valid is not None:  # a trial of the search: any report may end it
            score = model.predict_proba(valid.select(TEXTS + NUMBERS))[:, 1]
            ms.log(log_loss=log_loss(valid["late"].to_numpy(), score), step=trees)
    return model


gate = ms.Gate("delays", target="late", better=["auc", "log_loss"], not_worse={"log_loss": 0.05},
               slices=["origin", "carrier", "hour"], limits={"latency_ms": 5, "size_mb": 5})  # fmt: skip
watch = ms.Monitor(labels="outcomes", key="flight_id", target="late", event_time="scheduled", alarms_per_year=2,
                   cost=400, gain_per_doubling=0.02, renewals_per_year=5)  # fmt: skip
goal = ms.Goal("fewer missed connections", metric="log_loss", owner="operations@air.example")
space = {"rate": ms.between(0.07, 0.12, log=True), "leaves": ms.between(28, 56), "samples": ms.between(30, 80),
         "l2": ms.between(0.5, 10.0, log=True)}  # sizes for a year of rows  # fmt: skip


@ms.pipeline(triggers=[ms.On("alarm", service="delays", cooldown="25d")])
def train(folder: Path = Path("landing"), trials: int = 0) -> ms.Model:
    flights, outcomes, weather = ingest(folder)
    past, recent = features(flights, outcomes, [weather, *history(flights, outcomes)]).split(last="14d")
    if trials:
        budget = ms.Budget(trials=trials)
        params = ms.tune(fit, space, args=(past, "10d"), metric="log_loss", mode="min", budget=budget).params
    else:  # a renewal keeps what the first search found
        params = {name: ms.Model("delays@champion").details["params"][name] for name in space}
    model = ms.register(fit(past, "", **params), "delays", example=past, goal=goal)
    if ms.promote(model, "champion", data=recent):  # the gate decides; a refusal is recorded
        ms.deploy("delays", "delays@champion", monitor=watch)
    return model


if __name__ == "__main__":
    import replay  # the world; `python replay.py` goes on from here through the year

    replay.open_world()  # January and February, as files in landing/
    ms.apply(gate, train)  # from now on an alarm starts it, without this file
    print(ms.why(train(trials=24)))
