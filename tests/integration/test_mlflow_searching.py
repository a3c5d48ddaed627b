"""Searches and series over MLflow's protocol: shapes, pages, refusals in its words with the place of the fault."""

import pytest
from tests.support.relays import Site

AT = "/api/2.0/mlflow"


@pytest.fixture
def send(desk):
    site = Site(desk)

    def send(method, path, expect=200, **fields):
        options = {"params": fields} if method == "GET" else {"json": fields}
        answer = site(method, f"{AT}/{path}", **options)
        assert answer.status_code == expect, answer.text
        return answer.json()

    return send


@pytest.fixture
def made(send):
    """Three runs; the ids by their names."""
    ids = {}
    for number, name in enumerate(["slow", "fast", "broken"]):
        run = send("POST", "runs/create", experiment_id="0", run_name=name, start_time=1_700_000_000_000 + number)
        ids[name] = run_id = run["run"]["info"]["run_id"]
        metrics = [
            {"key": "loss", "value": v, "timestamp": 5, "step": 1} for v in ([0.5, "NaN"], [0.25], ["NaN"])[number]
        ]
        params = [{"key": "model", "value": ["trees", "linear", "trees"][number]}]
        send("POST", "runs/log-batch", run_id=run_id, metrics=metrics, params=params)
    return ids


def search(send, **fields):
    answer = send("POST", "runs/search", experiment_ids=["0"], **fields)
    return [run["info"]["run_name"] for run in answer["runs"]]


def test_a_found_run_is_shown_as_one_that_was_asked_for(send, made):
    answer = send("POST", "runs/search", experiment_ids=["0"], filter="run_name = 'fast'")
    assert answer == {"runs": [send("GET", "runs/get", run_id=made["fast"])["run"]]}
    assert answer["runs"][0]["data"]["metrics"] == [{"key": "loss", "value": 0.25, "timestamp": 5, "step": 1}]


def test_runs_are_found_ordered_and_paged(send, made):
    assert search(send) == ["broken", "fast", "slow"]
    assert search(send, filter="params.model = 'trees' AND metrics.loss < 1") == ["slow"]
    assert search(send, order_by=["metrics.loss ASC"]) == ["fast", "slow", "broken"]
    assert search(send, order_by=["params.model", "metrics.loss DESC"]) == ["fast", "slow", "broken"]
    first = send("POST", "runs/search", experiment_ids=["0"], max_results=2)
    rest = search(send, max_results=2, page_token=first["next_page_token"])
    assert rest == ["slow"]
    send("POST", "runs/delete", run_id=made["fast"])
    assert search(send) == ["broken", "slow"]
    assert search(send, run_view_type="DELETED_ONLY") == ["fast"]
    assert search(send, run_view_type="ALL") == ["broken", "fast", "slow"]
    assert send("POST", "runs/search", experiment_ids=["7"]) == {"runs": []}


BAD = {
    "malformed": ({"filter": "metrics.loss <"}, "Expected numeric value type for metric"),
    "or": ({"filter": "metrics.loss < 1 OR metrics.loss > 2"}, "Invalid clause(s) in filter string: 'OR'"),
    "entity": ({"filter": "metrik.loss < 1"}, "Invalid entity type 'metrik'. Valid values are ["),
    "attribute": ({"filter": "status = 'x' AND colour = 'red'"}, "at character 18 of the filter string"),
    "comparator": ({"filter": "params.a > '1'"}, "Invalid comparator '>' for parameter 'a', not one of"),
    "bare text": ({"filter": "params.model = trees"}, "not quoted or unidentified quote types"),
    "open quote": ({"filter": "params.model = 'trees"}, "Invalid clause(s) in filter string"),
    "order": ({"order_by": ["metrics.loss DOWN"]}, "Invalid ordering key in order_by clause"),
    "twice": ({"order_by": ["start_time", "attribute.start_time DESC"]}, "contains duplicate fields"),
    "many": ({"max_results": 50_001}, "It must be at least 1 and at most 50000"),
    "none": ({"max_results": 0}, "Invalid value for max_results"),
    "view": ({"run_view_type": "SOME"}, "Invalid value \"SOME\" for parameter 'run_view_type' supplied"),
    "page": ({"page_token": "nothing"}, "is no page of what is asked for"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_searches_are_named(send, made, name):
    fields, what = BAD[name]
    answer = send("POST", "runs/search", 400, experiment_ids=["0"], **fields)
    assert answer["error_code"] == "INVALID_PARAMETER_VALUE"
    assert what in answer["message"]


def test_a_page_token_of_another_search_is_refused(send, made):
    token = send("POST", "runs/search", experiment_ids=["0"], max_results=1)["next_page_token"]
    answer = send("POST", "runs/search", 400, experiment_ids=["0"], filter="metrics.loss < 1", page_token=token)
    assert answer["error_code"] == "INVALID_PARAMETER_VALUE"
    assert "another filter, order or project" in answer["message"]


@pytest.fixture
def series(send):
    """A run with a series of 2,000 points, one of which stands out."""
    run_id = send("POST", "runs/create", experiment_id="0")["run"]["info"]["run_id"]
    for first in (0, 1000):
        metrics = [
            {"key": "loss", "value": 99.0 if step == 1234 else step / 7, "timestamp": step, "step": step}
            for step in range(first, first + 1000)
        ]
        send("POST", "runs/log-batch", run_id=run_id, metrics=metrics)
    return run_id


def test_a_history_is_read_whole_and_in_pages(send, series):
    whole = send("GET", "metrics/get-history", run_id=series, metric_key="loss")["metrics"]
    assert [point["step"] for point in whole] == [*range(2000)]
    assert whole[7] == {"key": "loss", "value": 1.0, "timestamp": 7, "step": 7}
    found, token = [], ""
    while token is not None:
        page = send("GET", "metrics/get-history", run_id=series, metric_key="loss", max_results=700, page_token=token)
        found, token = found + page["metrics"], page.get("next_page_token")
    assert found == whole
    assert send("GET", "metrics/get-history", run_id=series, metric_key="none") == {"metrics": []}
    answer = send("GET", "metrics/get-history", 404, run_id="0" * 32, metric_key="loss")
    assert answer["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert (
        "positive integer"
        in send("GET", "metrics/get-history", 400, run_id=series, metric_key="loss", max_results=0)["message"]
    )


def test_a_chart_is_thinned_out_and_a_bulk_is_cut(send, series, made):
    query = {"run_ids": [series, made["slow"]], "metric_key": "loss", "max_results": 320}
    points = send("GET", "metrics/get-history-bulk-interval", **query)["metrics"]
    own = [point for point in points if point["run_id"] == series]
    assert len(own) == 320
    assert (own[0]["step"], own[-1]["step"]) == (0, 1999)
    assert [point["value"] for point in points if point["run_id"] == made["slow"]] == ["NaN", 0.5]
    points = send("GET", "metrics/get-history-bulk-interval", **query, start_step=1230, end_step=1240)["metrics"]
    assert 99.0 in [point["value"] for point in points]
    refused = send("GET", "metrics/get-history-bulk-interval", 400, **query, start_step=1)
    assert refused["message"] == "If either start step or end step are specified, both must be specified."
    refused = send("GET", "metrics/get-history-bulk-interval", 400, **{**query, "max_results": 2501})
    assert "max_results must be between 1 and 2500." in refused["message"]
    bulk = send("GET", "metrics/get-history-bulk", run_id=[series], metric_key="loss", max_results=10)["metrics"]
    assert [(point["run_id"], point["step"]) for point in bulk] == [(series, step) for step in range(10)]
    assert send("GET", "metrics/get-history-bulk", 400, metric_key="loss")["error_code"] == "INVALID_PARAMETER_VALUE"
    too_many = {"run_id": [f"{number}" for number in range(101)], "metric_key": "loss"}
    assert "more than 100" in send("GET", "metrics/get-history-bulk", 400, **too_many)["message"]
