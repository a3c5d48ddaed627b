"""Models of sensitive columns: neither their files, nor verdicts, nor captures show a value."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder
from sklearn.tree import DecisionTreeClassifier
from tests.support.canaries import list_leaks
from tests.support.serving import wait_for_planes

import mainspring as ms
from mainspring.domain.errors import Invalid
from mainspring.domain.messages import ListServices, RunSpec, StopService, SubmitRuns, WaitRuns
from mainspring.domain.records import Call

CANARY = "canary-5ae1b0c2-shop"
NUMBER = 123_456_789.25
SEED = 7


class Sale(ms.Contract):
    """Rows of which two columns are sensitive."""

    at: datetime = ms.Field(event_time=True)
    shop: str = ms.Field(sensitive=True)
    income: float = ms.Field(sensitive=True)
    count: int = ms.Field()
    late: bool = ms.Field()


@pytest.fixture
def parts(client, tmp_path, monkeypatch):
    """Past and recent rows; every number of the sensitive column begins with the canary's."""
    monkeypatch.chdir(tmp_path)  # runs tell what is not committed yet, and this file holds the canaries
    rng = np.random.default_rng(SEED)
    rows, start = 3_000, datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    frame = pl.DataFrame(
        {
            "at": [start + timedelta(minutes=10 * number) for number in range(rows)],
            "shop": [f"{CANARY}-{number % 3}" for number in range(rows)],
            "income": NUMBER + rng.integers(0, 3, rows),
            "count": rng.integers(0, 9, rows),
            "late": rng.random(rows) < 0.4,
        }
    )
    yield ms.write(frame, "sales", contract=Sale).split(last="7d")
    for service in client.ask(ListServices()):
        client.ask(StopService(service.name))
    wait_for_planes(client.home)


def fit(rows, *names):
    encode = ColumnTransformer(
        [("text", OrdinalEncoder(), [name for name in names if name == "shop"])],
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    model = Pipeline([("encode", encode), ("model", DecisionTreeClassifier(max_depth=3))])
    return model.fit(rows.select(names), rows["late"].to_numpy())


def test_a_model_and_what_its_service_captures_show_no_cell(parts, client, home):
    past, _ = parts
    rows = past.polars()
    model = ms.register(fit(rows, "income", "count"), "late", example=past)
    assert model.details["sensitive"] == ["income", "shop"]
    service = ms.deploy("web", model.reference)
    answer = service.predict({"income": NUMBER, "count": 3}, id="one")
    assert service.predict({"income": NUMBER, "count": 3}, id="one") == answer
    call = Call(job="collect", arguments={"service": "web"})
    (run,) = client.ask(SubmitRuns([RunSpec(kind="collect", name="web", call=call)]))
    (ended,) = client.ask(WaitRuns([run.id], wait_s=60.0))
    assert ended.details["rows"] == 1
    assert "income" not in ms.Dataset("web.requests").schema
    assert list_leaks(home, CANARY, str(NUMBER), repr(NUMBER)[:9]) == []


def test_a_model_that_knows_its_categories_is_refused(parts):
    past, _ = parts
    with pytest.raises(Invalid, match="MODEL-033"):
        ms.register(fit(past.polars(), "shop", "count"), "late", example=past)


def test_a_verdict_names_no_value_of_a_sensitive_column(parts):
    past, recent = parts
    model = ms.register(fit(past.polars(), "count"), "late", example=past)
    ms.apply(ms.Gate("late", target="late", better=["auc"], slices=["shop"]))
    with pytest.raises(Invalid, match="GATE-007"):
        ms.promote(model, to="champion", data=recent)
