"""MLflow's protocol, request by request: shapes, words and codes as its own server has them."""

import base64

import pytest
from tests.support.relays import HOME_TOKEN, Site

AT = "/api/2.0/mlflow"


@pytest.fixture
def site(desk):
    return Site(desk)


@pytest.fixture
def post(site):
    def send(path, expect=200, *, at=AT, **fields):
        answer = site("POST", f"{at}/{path}", json=fields)
        assert answer.status_code == expect, answer.text
        return answer.json()

    return send


@pytest.fixture
def get(site):
    def send(path, expect=200, *, at=AT, **query):
        answer = site("GET", f"{at}/{path}", params=query)
        assert answer.status_code == expect, answer.text
        return answer.json()

    return send


@pytest.fixture
def run_id(post):
    return post("runs/create", experiment_id="0", start_time=1_700_000_000_123)["run"]["info"]["run_id"]


def test_an_experiment_is_made_found_renamed_hidden_and_shown_again(post, get):
    number = post("experiments/create", name="churn", tags=[{"key": "team", "value": "air"}])["experiment_id"]
    assert number == "1"
    found = get("experiments/get", experiment_id=number)["experiment"]
    assert found["name"] == "churn"
    assert found["artifact_location"] == "mlflow-artifacts:/1"
    assert found["lifecycle_stage"] == "active"
    assert found["tags"] == [{"key": "team", "value": "air"}]
    assert get("experiments/get-by-name", experiment_name="churn")["experiment"] == found
    post("experiments/update", experiment_id=number, new_name="leavers")
    post("experiments/set-experiment-tag", experiment_id=number, key="note", value="x")
    post("experiments/delete-experiment-tag", experiment_id=number, key="team")
    found = get("experiments/get", experiment_id=number)["experiment"]
    assert (found["name"], found["tags"]) == ("leavers", [{"key": "note", "value": "x"}])
    run = post("runs/create", experiment_id=number)["run"]["info"]
    assert run["experiment_id"] == number
    assert run["artifact_uri"] == f"mlflow-artifacts:/1/{run['run_id']}/artifacts"
    post("experiments/delete", experiment_id=number)
    assert get("experiments/get", experiment_id=number)["experiment"]["lifecycle_stage"] == "deleted"
    assert get("runs/get", run_id=run["run_id"])["run"]["info"]["lifecycle_stage"] == "deleted"
    assert [each["name"] for each in post("experiments/search", max_results=10)["experiments"]] == ["Default"]
    post("experiments/restore", experiment_id=number)
    assert get("runs/get", run_id=run["run_id"])["run"]["info"]["lifecycle_stage"] == "active"
    names = [each["name"] for each in get("experiments/search", max_results=10)["experiments"]]
    assert names == ["leavers", "Default"]


def test_a_run_logs_and_ends(post, get, run_id):
    post("runs/log-metric", run_id=run_id, key="loss", value=0.5, timestamp=1_700_000_000_500, step=3)
    post("runs/log-metric", run_id=run_id, key="loss", value="NaN", timestamp="1700000000501", step="4")
    post("runs/log-parameter", run_id=run_id, key="depth", value="3")
    post("runs/set-tag", run_id=run_id, key="who", value="anna")
    post(
        "runs/log-batch",
        run_id=run_id,
        metrics=[{"key": "auc", "value": 0.9, "timestamp": 1, "step": 0}],
        params=[{"key": "rate", "value": "0.1"}],
        tags=[{"key": "more", "value": "x"}],
    )
    post("runs/delete-tag", run_id=run_id, key="more")
    info = post("runs/update", run_id=run_id, status="FINISHED", end_time=1_700_000_009_000)["run_info"]
    assert (info["status"], info["end_time"], info["start_time"]) == ("FINISHED", 1_700_000_009_000, 1_700_000_000_123)
    run = get("runs/get", run_id=run_id)["run"]
    assert run["info"] == info
    assert run["data"]["metrics"] == [
        {"key": "auc", "value": 0.9, "timestamp": 1, "step": 0},
        {"key": "loss", "value": "NaN", "timestamp": 1_700_000_000_501, "step": 4},
    ]
    assert run["data"]["params"] == [{"key": "depth", "value": "3"}, {"key": "rate", "value": "0.1"}]
    tags = {each["key"]: each["value"] for each in run["data"]["tags"]}
    assert tags == {"mlflow.runName": info["run_name"], "who": "anna"}


def test_every_root_and_project_answers_the_same(site, post):
    site("POST", "/api/v1/projects", json={"name": "air"})
    for at in (AT, "/ajax-api/2.0/mlflow", "/projects/air/api/2.0/mlflow", "/projects/air/ajax-api/2.0/mlflow"):
        answer = site("GET", f"{at}/experiments/get", params={"experiment_id": "0"})
        assert answer.json()["experiment"]["name"] == "Default"
    post("experiments/create", at="/projects/air/api/2.0/mlflow", name="there")
    missing = site("GET", f"{AT}/experiments/get-by-name", params={"experiment_name": "there"})
    assert missing.status_code == 404
    assert missing.json() == {
        "error_code": "RESOURCE_DOES_NOT_EXIST",
        "message": "Could not find experiment with name 'there'",
    }
    unknown = site("GET", "/projects/rail/api/2.0/mlflow/experiments/get", params={"experiment_id": "0"})
    assert unknown.json()["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert site("GET", "/version", None).text == "3.17.2"
    assert site("GET", "/api/3.0/mlflow/server-info", None).json()["store_type"] == "SqlStore"


def test_what_is_not_supported_says_so_in_its_shape(site):
    for verb, path in (("POST", f"{AT}/registry-webhooks/create"), ("GET", "/api/3.0/mlflow/nothing"), ("PUT", AT)):
        answer = site(verb, path)
        assert answer.status_code == 404
        assert answer.json()["error_code"] == "ENDPOINT_NOT_FOUND"
        assert site(verb, path, None).status_code == 401


def test_a_token_may_come_as_a_password(site):
    def ask(header):
        answer = site("GET", f"{AT}/experiments/get?experiment_id=0", None, headers={"Authorization": header})
        return answer.status_code

    def basic(text):
        return "Basic " + base64.b64encode(text.encode()).decode()

    assert ask(f"Bearer {HOME_TOKEN}") == 200
    assert ask(basic(f"anybody:{HOME_TOKEN}")) == 200
    assert ask(basic(f"anybody:{HOME_TOKEN[:-1]}b")) == 401
    assert ask("Basic nonsense") == 401
    assert ask("Negotiate x") == 401
    told = site("GET", f"{AT}/experiments/get?experiment_id=0", None)
    assert told.json()["error_code"] == "UNAUTHENTICATED"
    assert told.headers["www-authenticate"].startswith("Basic")


def test_experiments_are_searched_in_pages(post):
    for name in ("one", "two", "three"):
        post("experiments/create", name=name, tags=[{"key": "letters", "value": str(len(name))}])
    post("experiments/delete", experiment_id="2")

    def search(**fields):
        answer = post("experiments/search", **{"max_results": 10, **fields})
        return [each["name"] for each in answer["experiments"]], answer.get("next_page_token", "")

    assert search(order_by=["name ASC"])[0] == ["Default", "one", "three"]
    assert search(order_by=["name ASC"], view_type="ALL")[0] == ["Default", "one", "three", "two"]
    assert search(view_type="DELETED_ONLY")[0] == ["two"]
    assert search(filter="tags.letters = '3'", view_type="ALL", order_by=["experiment_id"])[0] == ["one", "two"]
    assert search(filter="name LIKE 'T%'")[0] == []
    assert search(filter="name ILIKE 'T%' AND creation_time > 0")[0] == ["three"]
    assert search(filter="experiment_id IN ('1', '3')", order_by=["experiment_id DESC"])[0] == ["three", "one"]
    seen, page = search(order_by=["name"], max_results=2)
    assert seen == ["Default", "one"]
    assert search(order_by=["name"], max_results=2, page_token=page) == (["three"], "")
    refused = post("experiments/search", 400, max_results=2, page_token=page, order_by=["name DESC"])
    assert refused["error_code"] == "INVALID_PARAMETER_VALUE"


def test_datasets_that_runs_read_are_listed_once(post, get, run_id):
    dataset = {"name": "flights", "digest": "d1", "source_type": "local", "source": "{}", "schema": "{}"}
    read = {"dataset": dataset, "tags": [{"key": "mlflow.data.context", "value": "training"}]}
    for _ in range(2):
        post("runs/log-inputs", run_id=run_id, datasets=[read], models=[{"model_id": "m-1"}])
    post("runs/outputs", run_id=run_id, models=[{"model_id": "m-2", "step": 4}])
    run = get("runs/get", run_id=run_id)["run"]
    assert run["inputs"]["dataset_inputs"] == [{"dataset": dataset, "tags": read["tags"]}]
    assert run["outputs"]["model_outputs"][0]["step"] == 4
    assert post("experiments/search-datasets", experiment_ids=["0"])["dataset_summaries"] == [
        {"experiment_id": "0", "name": "flights", "digest": "d1", "context": "training"}
    ]
