"""What the pages of the guide speak of: datasets, a model behind a gate, a service, a run that failed."""

import random

import polars as pl
from sklearn.linear_model import LogisticRegression

import mainspring as ms


class Trip(ms.Contract):
    flight: str = ms.Field(key=True)
    miles: float = ms.Field(ge=50, le=6000)


class Flight(ms.Contract):
    flight_id: int = ms.Field(key=True)
    shop: str
    wind: float
    late: bool


def make_rows(first: int, count: int) -> pl.DataFrame:
    draw = random.Random(first)
    rows = []
    for number in range(first, first + count):
        wind = draw.uniform(0, 30)
        late = draw.random() < 1 / (1 + 2.7 ** (-(wind - 15) / 2))
        rows.append({"flight_id": number, "shop": draw.choice(["EWR", "JFK"]), "wind": wind, "late": late})
    return pl.DataFrame(rows)


@ms.step
def ingest() -> ms.Dataset:
    trips = [{"flight": "a", "miles": 100.0}, {"flight": "b", "miles": 7.0}, {"flight": "c", "miles": 9000.0}]
    ms.write(trips, "trips", contract=Trip)
    return ms.write(make_rows(0, 600), "flight_rows", contract=Flight)


@ms.step
def fit(leaves: int = 31, rate: float = 0.1) -> float:
    auc = 0.9 - abs(leaves - 63) / 1000 - abs(rate - 0.1) / 10
    ms.log(auc=auc)
    return auc


@ms.step
def learn() -> ms.Model:
    features, late = ms.Dataset("flight_rows").xy("late")
    model = LogisticRegression().fit(features.select("wind"), late)
    return ms.register(model, "delays", example=features.select("wind").head(50))


@ms.step
def score(leaves: int = 31, rate: float = 0.1) -> float:
    for step in range(3):
        ms.log(auc=0.7 - abs(leaves - 63) / 1000 - rate / 10 + step / 1000, step=step)
    return rate


@ms.step
def divide(rows: list[int]) -> float:
    return 1 / len(rows)


gate = ms.Gate("delays", target="late", better=["auc"], min_rows=200)


@ms.pipeline
def train() -> ms.Model:
    ingest()
    fit()
    return learn()


@ms.pipeline(triggers=[ms.On("data", dataset="orders")])
def report() -> None:
    print("reported")


if __name__ == "__main__":
    ms.apply(gate, report)
    model = train()
    recent = ms.write(make_rows(10_000, 400), "recent", contract=Flight)
    assert ms.promote(model, "champion", data=recent)
    ms.deploy("delays", "delays@champion")
    try:
        divide([])
    except ZeroDivisionError:
        print("failed as it should")
