"""A gate refuses, and lets through, at every door: Python, command line, HTTP, and an unmodified client of MLflow."""

import json
import os
import subprocess
import sys

import httpx
import pytest
from tests.integration.test_promotion import GATE, fit, make_parcels
from tests.support.servers import UpProcess

import mainspring as ms
from mainspring.domain.errors import Conflict
from mainspring.security.tokens import home_token

MOVE = """
import mlflow
from mlflow.exceptions import MlflowException

client = mlflow.MlflowClient()
try:
    client.set_registered_model_alias("delays", "champion", "1")
    print("moved")
except MlflowException as fault:
    print(fault.error_code, fault.message)
"""

LIFE = """
import mlflow, mlflow.sklearn
from mlflow.exceptions import MlflowException
from sklearn.linear_model import LinearRegression

client = mlflow.MlflowClient()
model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
with mlflow.start_run() as run:
    logged = mlflow.sklearn.log_model(model, name="line", registered_model_name="lines", input_example=[[3.0]])
again = mlflow.register_model(logged.model_uri, "lines", tags={"a": "b"})
assert again.version == "2", again
assert client.get_model_version("lines", "1").run_id == run.info.run_id
by_run = mlflow.register_model(f"runs:/{run.info.run_id}/line", "lines")
assert by_run.version == "3"
client.set_registered_model_alias("lines", "best", "2")
loaded = mlflow.pyfunc.load_model("models:/lines@best")
assert abs(float(loaded.predict([[4.0]])[0]) - 8.0) < 1e-6
assert [v.version for v in client.search_model_versions("name = 'lines' AND tags.a = 'b'")] == ["2"]
assert [m.name for m in client.search_registered_models("name LIKE 'lin%'")] == ["lines"]
client.update_registered_model("lines", description="straight")
client.set_model_version_tag("lines", "2", "note", "x")
client.delete_model_version_tag("lines", "2", "note")
client.transition_model_version_stage("lines", "3", "Production")
assert [v.version for v in client.get_latest_versions("lines", ["Production"])] == ["3"]
mlflow.sklearn.load_model("models:/lines/Production")
client.rename_registered_model("lines", "straights")
copied = client.copy_model_version("models:/straights/1", "copies")
assert copied.version == "1"
client.delete_registered_model_alias("straights", "best")
client.delete_model_version("straights", "2")
try:
    client.get_model_version("straights", "2")
except MlflowException as fault:
    assert fault.error_code == "RESOURCE_DOES_NOT_EXIST", fault
for source in ("s3://bucket/model", "/etc", "file:///etc"):
    try:
        client.create_model_version("straights", source)
        raise SystemExit(f"{source} was taken")
    except MlflowException as fault:
        assert "Invalid model version source" in fault.message, fault
client.delete_registered_model("straights")
print("done", run.info.run_id)
"""


@pytest.fixture
def server(home):
    up = UpProcess()
    yield up
    up.end()


@pytest.fixture
def ask_mlflow(mlflow_python, server, home, tmp_path):
    """Run a program of MLflow's against the server; return what it printed."""

    def run(program):
        given = {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_TRACKING_TOKEN": home_token(home)}
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MAINSPRING"))}
        done = subprocess.run(
            [str(mlflow_python), "-W", "ignore", "-c", program],
            env={**clean, **given, "HOME": str(tmp_path), "MLFLOW_DISABLE_TELEMETRY": "true"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.strip().splitlines()[-1]

    return run


def test_one_gate_refuses_at_four_doors_and_opens_all_by_one_verdict(server, ask_mlflow, client, home):
    past, recent = ms.write(make_parcels(), "parcels").split(by="at", last="14d")
    ms.apply(GATE)
    model = ms.register(fit(past.polars()), "delays", example=past)
    fix = "mainspring promote delays@1 champion --data DATASET"

    def move_by_cli():
        command = [sys.executable, "-m", "mainspring", "promote", "delays@1", "champion", "--json"]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def move_by_http():
        return httpx.put(
            f"{server.url}/api/v1/models/delays/aliases/champion",
            json={"number": 1},
            headers={"Authorization": f"Bearer {home_token(home)}"},
        )

    with pytest.raises(Conflict) as by_python:
        ms.promote(model, "champion")
    by_cli, by_http, by_mlflow = move_by_cli(), move_by_http(), ask_mlflow(MOVE)
    assert (by_python.value.code, by_python.value.fix) == ("GATE-003", fix)
    assert by_cli.returncode == 5
    assert fix in by_cli.stderr
    assert (by_http.status_code, by_http.json()["code"], by_http.json()["fix"]) == (409, "GATE-003", fix)
    assert by_mlflow.startswith("PERMISSION_DENIED")
    assert fix in by_mlflow

    assert ms.promote(model, "champion", data=recent), "on rows that training never saw"
    assert ms.promote(model, "champion").summary == "delays@champion is delays@1, nothing was judged"
    assert json.loads(move_by_cli().stdout)["aliases"] == ["champion"]
    assert move_by_http().status_code == 200
    assert ask_mlflow(MOVE) == "moved"


def test_an_unmodified_client_leads_a_model_through_its_life(ask_mlflow, client):
    told = ask_mlflow(LIFE)
    assert told.startswith("done ")
    with pytest.raises(KeyError, match="MODEL-001"):
        ms.Model("straights").version  # noqa: B018
    copied = ms.Model("copies@1")
    assert copied.version.details["source"] == "models:/straights/1"
    assert "MLmodel" in copied.version.manifest
