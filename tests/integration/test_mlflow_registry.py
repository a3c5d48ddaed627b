"""MLflow's protocol of the registry: shapes, words and codes as its own server has them, and the gate in its shape."""

import pytest
from tests.support.relays import Site

from mainspring.control.declarations import digest_body
from mainspring.domain import files, messages, records
from mainspring.store.rows import add
from mainspring.store.tables import verdicts

AT = "/api/2.0/mlflow"


@pytest.fixture
def site(desk):
    return Site(desk)


@pytest.fixture
def call(site):
    def send(verb, path, expect=200, **fields):
        given = {"params": fields} if verb == "GET" else {"json": fields}
        answer = site(verb, f"{AT}/{path}", **given)
        assert answer.status_code == expect, answer.text
        return answer.json()

    return send


@pytest.fixture
def source(desk):
    """A logged model of two files."""
    run = desk.ask(messages.BeginRun(kind="script", name="fit")).run
    contents = {"model/MLmodel": b"flavors: {}", "model/model.skops": b"weights"}
    told = [files.File(path, desk.blobs.put(content), len(content)) for path, content in contents.items()]
    desk.ask(files.PutFiles(run_id=run.id, files=told))
    return f"runs:/{run.id}/model"


@pytest.fixture
def delays(call, source):
    """A model with two versions of equal content."""
    call("POST", "registered-models/create", name="delays", description="arrivals", tags=[{"key": "t", "value": "1"}])
    given = {"name": "delays", "source": source, "run_id": source.split("/")[1]}
    return [call("POST", "model-versions/create", **given)["model_version"] for _ in range(2)]


@pytest.mark.parametrize("name", ["late arrivals (2026)", "2026, flights & co.", "Verspätung", "航班 延误", "+1"])
def test_a_name_with_spaces_and_signs_goes_through_its_life(call, site, source, desk, name):
    call("POST", "registered-models/create", name=name)
    made = call("POST", "model-versions/create", name=name, source=source)["model_version"]
    assert (made["name"], made["version"]) == (name, "1")
    call("POST", "registered-models/alias", name=name, alias="best", version="1")
    assert call("GET", "registered-models/alias", name=name, alias="best")["model_version"]["version"] == "1"
    assert call("GET", "registered-models/search", filter=f"name = '{name}'")["registered_models"][0]["name"] == name
    uri = call("GET", "model-versions/get-download-uri", name=name, version="1")["artifact_uri"]
    path = uri.removeprefix("mlflow-artifacts:/")
    assert site("GET", f"/api/2.0/mlflow-artifacts/artifacts/{path}/model.skops").content == b"weights"
    copied = call("POST", "model-versions/create", name=name, source=f"models:/{name}/1")["model_version"]
    assert copied["version"] == "2"
    assert desk.ask(messages.GetVersion("model", f"{name}@best")).number == 1
    assert call("POST", "registered-models/rename", name=name, new_name="plain")["registered_model"]["name"] == "plain"
    call("POST", "registered-models/rename", name="plain", new_name=name)
    call("DELETE", "model-versions/delete", name=name, version="2")
    call("DELETE", "registered-models/delete", name=name)


@pytest.mark.parametrize(
    "name", ["a@b", "a#b", "a;b", "a%2fb", "a\\b", " a", "a ", "a\nb", "..", "a'b", "x" * 101, "ﬁle", "a\u200bb", "a?b"]
)
def test_a_name_that_no_reference_can_carry_is_refused(call, name):
    told = call("POST", "registered-models/create", 400, name=name)
    assert told["error_code"] == "INVALID_PARAMETER_VALUE"
    assert "A name has up to 100 printable characters without @" in told["message"]


def test_a_model_goes_through_its_life(call, delays):
    model = call("GET", "registered-models/get", name="delays")["registered_model"]
    assert (model["name"], model["description"], model["tags"]) == ("delays", "arrivals", [{"key": "t", "value": "1"}])
    assert [each["version"] for each in model["latest_versions"]] == ["2"]
    assert model["aliases"] == []
    assert model["last_updated_timestamp"] >= model["creation_timestamp"] > 1_000_000_000_000
    call("PATCH", "registered-models/update", name="delays", description="late")
    call("POST", "registered-models/set-tag", name="delays", key="u", value="2")
    call("DELETE", "registered-models/delete-tag", name="delays", key="t")
    call("DELETE", "registered-models/delete-tag", name="delays", key="none")
    renamed = call("POST", "registered-models/rename", name="delays", new_name="late")["registered_model"]
    assert (renamed["name"], renamed["description"]) == ("late", "late")
    assert renamed["tags"] == [{"key": "u", "value": "2"}]
    assert call("GET", "model-versions/get", name="late", version="1")["model_version"]["name"] == "late"
    call("DELETE", "registered-models/delete", name="late")
    gone = call("GET", "registered-models/get", 404, name="late")
    assert gone["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert gone["message"] == "Registered Model with name=late not found"


def test_a_version_goes_through_its_life(call, delays, source):
    first, second = delays
    assert (first["version"], second["version"]) == ("1", "2")
    assert (first["source"], first["run_id"], first["status"]) == (source, source.split("/")[1], "READY")
    assert (first["current_stage"], first["aliases"], first["tags"]) == ("None", [], [])
    of = {"name": "delays", "version": "1"}
    assert call("GET", "model-versions/get-download-uri", **of) == {"artifact_uri": "mlflow-artifacts:/models/delays/1"}
    call("PATCH", "model-versions/update", **of, description="the first")
    call("POST", "model-versions/set-tag", **of, key="a", value="b")
    call("POST", "registered-models/alias", **of, alias="champion")
    found = call("GET", "registered-models/alias", name="delays", alias="champion")["model_version"]
    assert (found["version"], found["aliases"], found["description"]) == ("1", ["champion"], "the first")
    assert found["tags"] == [{"key": "a", "value": "b"}]
    assert call("GET", "registered-models/alias", name="delays", alias="Latest")["model_version"]["version"] == "2"
    call("DELETE", "model-versions/delete-tag", **of, key="a")
    moved = call("POST", "model-versions/transition-stage", **of, stage="staging", archive_existing_versions=True)
    assert moved["model_version"]["current_stage"] == "Staging"
    latest = call("POST", "registered-models/get-latest-versions", name="delays")["model_versions"]
    assert [(each["version"], each["current_stage"]) for each in latest] == [("1", "Staging"), ("2", "None")]
    some = call("GET", "registered-models/get-latest-versions", name="delays", stages="Staging")["model_versions"]
    assert [each["version"] for each in some] == ["1"]
    call("DELETE", "model-versions/delete", **of)
    gone = call("GET", "model-versions/get", 404, **of)
    assert gone["message"] == "Model Version (name=delays, version=1) not found"
    missing = call("GET", "registered-models/alias", 400, name="delays", alias="champion")
    assert missing == {
        "error_code": "INVALID_PARAMETER_VALUE",
        "message": "Registered model alias champion not found.",
    }
    call("DELETE", "registered-models/alias", name="delays", alias="champion")


def test_searches_have_filters_orders_and_pages(call, delays):
    call("POST", "registered-models/create", name="other")
    found = call("GET", "registered-models/search", filter="name ILIKE 'D%'", order_by="name DESC")
    assert [each["name"] for each in found["registered_models"]] == ["delays"]
    page = call("GET", "registered-models/search", max_results=1)
    assert [each["name"] for each in page["registered_models"]] == ["delays"]
    rest = call("GET", "registered-models/search", max_results=1, page_token=page["next_page_token"])
    assert ([each["name"] for each in rest["registered_models"]], "next_page_token" in rest) == (["other"], False)
    versions = call("GET", "model-versions/search", filter="name = 'delays'", max_results=200_000)["model_versions"]
    assert [each["version"] for each in versions] == ["2", "1"]
    again = call("GET", "model-versions/search", max_results=1, order_by="version_number ASC")
    assert ([each["version"] for each in again["model_versions"]], "next_page_token" in again) == (["1"], True)


OF = {"name": "delays", "version": "1"}
MODELS, VERSIONS = "registered-models", "model-versions"
REFUSED = [
    ("POST", f"{MODELS}/create", {}, "Missing value for required parameter 'name'"),
    ("POST", f"{MODELS}/create", {"name": " "}, "Missing value for required parameter 'name'."),
    ("POST", f"{MODELS}/create", {"name": "a/b"}, "Invalid model name 'a/b'. Names cannot contain '/' or ':'."),
    ("POST", f"{MODELS}/create", {"name": "delays"}, "Registered Model (name=delays) already exists."),
    ("POST", f"{MODELS}/rename", {"name": "x", "new_name": "y"}, "Registered Model with name=x not found"),
    ("GET", f"{MODELS}/search", {"max_results": 1001}, "Invalid value 1001 for parameter 'max_results'"),
    ("GET", f"{MODELS}/search", {"filter": "owner = 'a'"}, "Invalid attribute key 'owner'"),
    ("GET", f"{MODELS}/search", {"page_token": "nonsense"}, "'nonsense' is no page"),
    ("GET", f"{VERSIONS}/search", {"max_results": 0}, "It must be a positive integer, but got 0"),
    ("GET", f"{VERSIONS}/search", {"max_results": 200_001}, "It must be at most 200000, but got value 200001"),
    ("GET", f"{VERSIONS}/get", OF | {"version": "x"}, "Parameter 'version' must be an integer, got 'x'."),
    ("GET", f"{VERSIONS}/get", OF | {"version": "9"}, "Model Version (name=delays, version=9) not found"),
    ("POST", f"{VERSIONS}/set-tag", OF | {"key": "k" * 251}, "'key' exceeds the maximum length of 250 characters"),
    (
        "POST",
        f"{MODELS}/set-tag",
        {"name": "delays", "key": "k", "value": "v" * 100_001},
        "'value' exceeds the maximum length of 100000 characters",
    ),
    ("POST", f"{MODELS}/alias", OF | {"alias": "latest"}, "'latest' alias name (case insensitive) is reserved."),
    ("POST", f"{MODELS}/alias", OF | {"alias": "v7"}, "Version alias name 'v7' is reserved."),
    ("POST", f"{MODELS}/alias", OF | {"alias": "a b"}, "Invalid alias name: 'a b'. Names may only contain"),
    (
        "POST",
        f"{VERSIONS}/transition-stage",
        OF | {"stage": "best"},
        "Invalid Model Version stage: best. Value must be one of None, Staging, Production, Archived.",
    ),
    (
        "POST",
        f"{VERSIONS}/transition-stage",
        OF | {"stage": "None", "archive_existing_versions": True},
        "cannot archive existing model versions because 'None' is not an Active stage",
    ),
    ("POST", f"{VERSIONS}/create", {"name": "x", "source": "SOURCE"}, "Registered Model with name=x not found"),
    ("POST", f"{VERSIONS}/create", {"name": "delays"}, "Missing value for required parameter 'source'"),
]


@pytest.mark.parametrize(("verb", "path", "fields", "message"), REFUSED)
def test_refusals_have_mlflows_words(call, delays, source, verb, path, fields, message):
    given = {key: source if value == "SOURCE" else value for key, value in fields.items()}
    codes = {"already exists.": "RESOURCE_ALREADY_EXISTS", "not found": "RESOURCE_DOES_NOT_EXIST"}
    code = next((code for words, code in codes.items() if message.endswith(words)), "INVALID_PARAMETER_VALUE")
    answer = call(verb, path, 404 if code == "RESOURCE_DOES_NOT_EXIST" else 400, **given)
    assert answer["error_code"] == code
    assert message in answer["message"]


@pytest.mark.parametrize(
    "elsewhere",
    ["s3://bucket/model", "file:///etc", "/etc", "https://example.org/m", "mlflow-artifacts://host:1/0/x", "dbfs:/m"],
)
def test_a_source_elsewhere_is_refused_in_mlflows_words(call, delays, elsewhere):
    answer = call("POST", "model-versions/create", 400, name="delays", source=elsewhere)
    assert answer["error_code"] == "INVALID_PARAMETER_VALUE"
    assert answer["message"].startswith(f"Invalid model version source: '{elsewhere}'")
    assert len(call("GET", "model-versions/search", filter="name = 'delays'")["model_versions"]) == 2


def test_a_gate_is_permission_denied_with_the_command_that_runs_it(call, desk, delays):
    gate = records.Declaration("gate", "delays->champion", {"target": "late", "better": ["auc"], "min_rows": 100})
    desk.ask(messages.Apply(declarations=[gate]))
    wanted = {"name": "delays", "alias": "champion", "version": "2"}
    refused = call("POST", "registered-models/alias", 403, **wanted)
    assert refused["error_code"] == "PERMISSION_DENIED"
    assert "mainspring promote delays@2 champion --data DATASET" in refused["message"]

    def judge(turn):
        rules = digest_body(gate.body)
        ids = turn.new_id(), turn.new_id()
        told = records.Verdict(*ids, "delays@2", "champion", None, "rows@1", True, "auc", {}, rules=rules)
        add(turn.connection, verdicts, told)

    desk.call(judge)
    call("POST", "registered-models/alias", **wanted)
    for path in ("registered-models/alias", "model-versions/delete"):
        assert call("DELETE", path, 403, **wanted)["error_code"] == "PERMISSION_DENIED"
    assert call("GET", "registered-models/alias", name="delays", alias="champion")["model_version"]["version"] == "2"
