"""Will a pump fail within a day? Another CSV and another contract make another problem."""

from datetime import datetime
from pathlib import Path

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

import mainspring as ms

INPUTS = ["site", "pressure", "vibration"]


class Reading(ms.Contract):
    reading_id: str = ms.Field(key=True)
    taken_at: datetime = ms.Field(event_time=True)
    site: str = ms.Field(isin=["north", "south"])
    pressure: float = ms.Field(ge=0, le=40)
    vibration: float = ms.Field(nullable=True)


class Outcome(ms.Contract):
    reading_id: str = ms.Field(key=True)
    taken_at: datetime = ms.Field(event_time=True)
    failed: bool


@ms.step
def ingest(folder: Path) -> tuple[ms.Dataset, ms.Dataset]:
    readings = ms.write(ms.source(f"{folder}/readings*.csv"), "readings", contract=Reading)
    return readings, ms.write(ms.source(f"{folder}/outcomes*.csv"), "outcomes", contract=Outcome)


@ms.step
def label(readings: ms.Dataset, outcomes: ms.Dataset) -> ms.Dataset:
    rows = readings.polars().join(outcomes.polars().select("reading_id", "failed"), on="reading_id")
    return ms.write(rows, "labelled")


@ms.step(cpus=1)
def fit(rows: ms.Dataset, leaves: int = 15, rate: float = 0.1) -> Pipeline:
    past, recent = rows.split(last="5d")
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("text", encoder, ["site"]), ("number", "passthrough", INPUTS[1:])])
    boosting = HistGradientBoostingClassifier(
        max_leaf_nodes=leaves, learning_rate=rate, random_state=0, warm_start=True
    )
    model = Pipeline([("encode", columns), ("boost", boosting)])
    for trees in (5, 10, 20):
        model.set_params(boost__max_iter=trees).fit(past.polars().select(INPUTS), past.polars()["failed"].to_numpy())
        score = model.predict_proba(recent.polars().select(INPUTS))[:, 1]
        ms.log(auc=roc_auc_score(recent.polars()["failed"].to_numpy(), score), step=trees)
    return model


gate = ms.Gate("pumps", target="failed", better=["auc"], not_worse={"log_loss": 0.05}, slices=["site"], min_rows=100)
goal = ms.Goal("fewer broken pumps", metric="auc", owner="plant@example.org")
watch = ms.Monitor(labels="outcomes", key="reading_id", target="failed", event_time="taken_at")


@ms.pipeline(triggers=[ms.On("alarm", service="pumps", cooldown="10d")])
def train(folder: Path = Path("data")) -> ms.Model:
    past, recent = label(*ingest(folder)).split(last="8d")
    space = {"leaves": ms.between(4, 31), "rate": ms.between(0.02, 0.5, log=True)}
    study = ms.tune(fit, space, args=(past,), metric="auc", budget=ms.Budget(trials=6))
    model = ms.register(study.best.result(), "pumps", example=past, goal=goal)
    if ms.promote(model, "champion", data=recent):
        ms.deploy("pumps", "pumps@champion", monitor=watch)
    return model


if __name__ == "__main__":
    ms.apply(gate, train)
    print(train().reference)
