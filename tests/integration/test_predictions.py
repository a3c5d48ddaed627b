"""Predictions of whole datasets: answered by a worker of the home, once, with lineage."""

import polars as pl
import pytest
from tests.support.canaries import list_leaks
from tests.support.laptops import Laptop
from tests.support.scoring import check_scores, make_rows, register_delays
from tests.support.shapes import check_shape

import mainspring as ms
from mainspring.cli.main import _run
from mainspring.domain import messages
from mainspring.domain.errors import Invalid, NotFound

CANARY = "canary-71c4-shop"


@pytest.fixture
def delays(client):
    return register_delays()


def count_runs(client):
    return len([each for each in client.ask(messages.ListRuns()) if each.kind == "predict"])


def test_every_row_is_answered_with_lineage(client, delays, capsys):
    rows = make_rows(1_000)
    data = ms.write(rows, "arrivals", key="id")
    scores = ms.Model("delays").predict(data, to="scores")
    assert scores.polars().columns == ["id", "value", "model"]
    check_scores(rows, scores.polars())
    assert scores.polars()["model"].unique().to_list() == ["delays@1"]
    assert (scores.reference, scores.rows, scores.key) == ("scores@1", 1_000, ["id"])
    assert set(scores.version.inputs) == {data.version.id, delays.version.id}
    run = client.ask(messages.GetRun(id=scores.version.run_id))
    assert (run.kind, run.state, run.params["model"]) == ("predict", "succeeded", "delays@1")
    assert run.metrics["rows"] == 1_000
    told = capsys.readouterr().err
    assert "1,000 rows  delays@1 answered arrivals@1: scores@1" in told
    again = ms.Model("delays@1").predict("arrivals@1", to="scores")
    assert (again.reference, count_runs(client)) == ("scores@1", 1)


def test_they_are_asked_from_the_command_line(client, delays, capsys):
    ms.write(make_rows(50), "arrivals", key="id")
    assert _run(["models", "predict", "delays@1", "--data", "arrivals", "--to", "scores", "--json"]) == 0
    told = check_shape("mainspring models predict", capsys.readouterr().out)
    assert (told["kind"], told["state"]) == ("predict", "succeeded")


def test_parts_come_in_order_and_as_one_version(client, delays):
    rows = make_rows(430_000)
    ms.write(rows, "arrivals", key="id")
    scores = delays.predict("arrivals", to="scores")
    check_scores(rows, scores.polars())
    assert scores.reference == "scores@1"


def test_a_new_model_writes_a_new_version(client, delays):
    rows = make_rows(50)
    ms.write(rows, "arrivals", key="id")
    delays.predict("arrivals", to="scores")
    register_delays(slope=3.0)
    scores = ms.Model("delays").predict("arrivals", to="scores")
    assert scores.reference == "scores@2"
    check_scores(rows, scores.polars(), slope=3.0)
    back = ms.Model("delays@1").predict("arrivals", to="scores")
    assert back.reference == "scores@3"
    check_scores(rows, back.polars())


def test_appended_columns_are_chosen_and_named(client, delays):
    past, recent = ms.write(make_rows(60), "arrivals", key="id").split(by="id", at=40)
    chosen = {"mode": "append", "keep": ["port"], "outputs": {"value": "delay"}}
    delays.predict(past, to="scores", **chosen)
    scores = delays.predict(recent, to="scores", **chosen)
    assert scores.polars().columns == ["id", "port", "delay"]
    assert scores.polars()["id"].to_list() == list(range(60))
    assert delays.predict(recent, to="scores", **chosen).rows == 60
    with pytest.raises(Invalid, match="BATCH-006: scores has id Int64, port String, delay"):
        delays.predict(past, to="scores", mode="append")


def test_rows_without_a_key_are_kept_whole(client, delays):
    ms.write(make_rows(5).drop("id"), "arrivals")
    scores = delays.predict("arrivals", to="scores").polars()
    assert scores.columns == ["wind", "load", "port", "value", "model"]


def test_a_pipeline_waits_for_its_predictions(client, delays):
    @ms.step
    def score():
        return delays.predict("arrivals", to="scores")

    ms.write(make_rows(5), "arrivals", key="id")
    scores = score()
    run = client.ask(messages.GetRun(id=scores.version.run_id))
    assert client.ask(messages.GetRun(id=run.parent_id)).name == "score"


WRONG = {
    "BATCH-001: the predictions of arrivals@1 would be written to arrivals": {"to": "arrivals"},
    "DATA-001: 'scores@2' is a reference": {"to": "scores@2"},
    "DATA-010: mode 'upsert' is none of overwrite, append": {"mode": "upsert"},
    "DATA-005: arrivals@1 has no column 'wnd'; did you mean 'wind'?": {"keep": ["wnd"]},
    "DATA-005: arrivals@1 has no column 'ID'": {"key": "ID"},
    "BATCH-003: the model has no output 'label'": {"outputs": {"label": "late"}},
    "BATCH-003: two columns would be called 'wind'": {"keep": ["wind"], "outputs": {"value": "wind"}},
    "BATCH-003: no output would be written": {"outputs": {}},
    "BATCH-003: an output has no name": {"outputs": {"value": ""}},
    "BATCH-005: 2 rows have port='north'": {"key": "port"},
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_predicted_is_refused(client, delays, what):
    ms.write([{"id": number, "wind": 1.0, "load": 2.0, "port": "north"} for number in range(2)], "arrivals")
    with pytest.raises(Invalid) as raised:
        delays.predict("arrivals", **{"to": "scores", **WRONG[what]})
    assert what in str(raised.value)
    assert "\n  fix: " in str(raised.value)
    with pytest.raises(NotFound):
        ms.Dataset("scores").version  # noqa: B018 - asked for


def test_rows_that_a_model_does_not_take_are_named(client, delays):
    ms.write([{"id": 1, "load": 2.0}], "narrow")
    with pytest.raises(Invalid, match="MODEL-005: narrow@1 has no column 'wind', which delays@1 takes"):
        delays.predict("narrow", to="scores")
    ms.write([{"id": 1, "load": 2.0, "wind": "strong"}], "words")
    with pytest.raises(Invalid, match="MODEL-007: rows 0 to 0 of words@1: input 'wind'"):
        delays.predict("words", to="scores")
    with pytest.raises(Invalid, match="BATCH-004: predictions into scores are asked for a DataFrame"):
        delays.predict(pl.DataFrame({"wind": [1.0], "load": [1.0]}), to="scores")
    for model, data in (("nobody", "words"), ("delays", "nowhere"), ("delays@9", "words")):
        with pytest.raises(NotFound, match=r"MODEL-001|DATA-002"):
            ms.Model(model).predict(data, to="scores")


def test_a_dataset_without_rows_is_refused(client, delays):
    ms.write(make_rows(1).clear(), "nothing")
    with pytest.raises(Invalid, match="BATCH-002: nothing@1 has no rows"):
        delays.predict("nothing", to="scores")


class Sale(ms.Contract):
    """Rows of which two columns are sensitive."""

    id: int = ms.Field(key=True)
    shop: str = ms.Field(sensitive=True)
    wind: float = ms.Field(sensitive=True)
    load: float = ms.Field()


def test_what_is_predicted_from_sensitive_columns_is_sealed(client, home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # what is not committed yet is told by runs, and this file holds the canary
    delays = register_delays()
    rows = make_rows(20).select("id", "wind", "load", shop=pl.lit(CANARY))
    ms.write(rows, "sales", contract=Sale)
    scores = delays.predict("sales", to="scores", keep=["shop"])
    assert set(scores.version.details["sealed"]) == {"shop", "value"}
    check_scores(rows, scores.polars())
    assert scores.polars()["shop"].unique().to_list() == [CANARY]
    assert list_leaks(home, CANARY) == []
    ms.write(make_rows(5).with_columns(shop=pl.lit("plain")), "open", key="id")
    with pytest.raises(Invalid, match="BATCH-006: scores has"):
        delays.predict("open", to="scores", keep=["shop"], mode="append", outputs={"value": "guess"})


def test_rows_of_a_server_are_answered_there(client, tmp_path, monkeypatch):
    laptop = Laptop(client, tmp_path / "laptop", monkeypatch)
    try:
        delays = register_delays()
        rows = make_rows(30)
        ms.write(rows, "arrivals", key="id")
        laptop.forget()
        scores = delays.predict("arrivals", to="scores")
        assert laptop.count_copies() == 0  # neither rows nor model have travelled
        check_scores(rows, scores.polars())
        run = laptop.home_client.ask(messages.GetRun(id=scores.version.run_id), project="air")
        assert (run.kind, run.principal) == ("predict", "user:anna")
        with pytest.raises(Invalid, match="BATCH-001"):
            delays.predict("arrivals", to="arrivals")
    finally:
        laptop.end()
