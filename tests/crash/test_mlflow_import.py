"""An MLflow server's record comes here whole: killed in the middle, gone on with, compared, and not brought twice."""

import json
import math
import os
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.support.homes import end_owner
from tests.support.shapes import check_shape

from mainspring.domain.experiments import GetLoggedRun
from mainspring.domain.files import File, ListFiles, PutFiles, RemoveFiles
from mainspring.domain.loggedmodels import AddLoggedModel, GetLoggedModel, SetLoggedModel
from mainspring.domain.messages import GetVersion, MoveAlias, PutVersion
from mainspring.domain.registry import AddVersion, DescribeModel, RegisterModel, StageVersion
from mainspring.domain.tracking import GetSeries
from mainspring.sdk.client import Client

FILL = """\
import sys, json, pathlib, tempfile
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, LoggedModelStatus, Metric, Param, RunTag

client = MlflowClient()
if sys.argv[1:] == ["more"]:
    run = client.search_runs([client.get_experiment_by_name("churn").experiment_id], max_results=1)[0]
    client.log_metric(run.info.run_id, "late", 7.0)
    print(run.info.run_id)
    sys.exit()
number = client.create_experiment("churn", tags={"team": "air"})
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "sub").mkdir()
(folder / "note.txt").write_text("hello")
(folder / "sub" / "x y.bin").write_bytes(b"x" * 1000)
ids = []
for place in range(6):
    run = client.create_run(number, run_name=f"run {place}", start_time=1_700_000_000_000 + place)
    values = [float("nan"), float("inf"), 0.1, 1e300]
    points = [Metric("loss", values[step % 4], 1_700_000_000_000 + 7 * step, step) for step in range(12)]
    client.log_batch(run.info.run_id, points, [Param("text", "\\u00fc; 'x'")], [RunTag("n", str(place))])
    client.log_artifacts(run.info.run_id, str(folder), "out")
    data = Dataset("iris", "d1", "local", "{}", schema="[]")
    client.log_inputs(run.info.run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "train")])])
    ids.append(run.info.run_id)
model = client.create_logged_model(number, "fit", ids[0], params={"depth": "3"}, tags={"a": "b"})
client.log_model_artifacts(model.model_id, str(folder))
client.log_metric(ids[0], "auc", 0.9, model_id=model.model_id, dataset_name="iris", dataset_digest="d1")
client.log_outputs(ids[0], [LoggedModelOutput(model.model_id, 0)])
client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
for place, run_id in enumerate(ids):
    client.set_terminated(run_id, ["FINISHED", "FAILED", "KILLED"][place % 3], end_time=1_700_000_100_000 + place)
client.create_registered_model("delays", {"owner": "anna"}, "how late")
client.create_model_version("delays", f"models:/{model.model_id}", ids[0], model_id=model.model_id, tags={"q": "w"})
client.set_registered_model_alias("delays", "champion", 1)
print(json.dumps([ids, model.model_id]))
"""


@pytest.fixture
def server(mlflow_python, tmp_path_factory):
    """A real MLflow server with a small record; yields its address and a function that runs the program there."""
    folder = tmp_path_factory.mktemp("mlflow")
    (folder / "fill.py").write_text(FILL)
    (folder / "ask.py").write_text(ASK)
    places = ["--backend-store-uri", f"sqlite:///{folder}/m.db", "--artifacts-destination", str(folder / "files")]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    port = 20_000 + os.getpid() % 20_000
    command = [mlflow_python, "-m", "mlflow", "server", "--workers", "1", "--port", str(port), *places]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **quiet}, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"

    def run(program="fill", *arguments):
        told = {**os.environ, **quiet, "MLFLOW_TRACKING_URI": url}
        done = subprocess.run(
            [mlflow_python, "-W", "ignore", f"{program}.py", *arguments],
            cwd=folder, env=told, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]

    try:
        wait_for(url, process, folder / "log")
        yield url, run
    finally:
        process.terminate()
        process.wait(60)


def wait_for(url, process, log):
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def bring(url, *arguments, **extra):
    """Import, as somebody types it."""
    return subprocess.run(
        [sys.executable, "-m", "mainspring", "import", "mlflow", url, "--json", *arguments],
        env={**os.environ, **extra}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def send(url, *arguments):
    """Export, as somebody types it."""
    return subprocess.run(
        [sys.executable, "-m", "mainspring", "export", "mlflow", url, "--json", *arguments],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def read_export(done):
    assert done.returncode == 0, done.stderr + done.stdout
    return check_shape("mainspring export", done.stdout)


def read(done, code=0):
    assert done.returncode == code, done.stderr
    told = check_shape("mainspring import", done.stdout)
    assert (told["different"] == []) is (code == 0)
    return told


def test_a_record_comes_whole_and_once(server, home, tmp_path):
    url, run = server
    ids, model = json.loads(run())
    killed = bring(url, MAINSPRING_CRASH=f"import.brought:3:{tmp_path}/killed")
    assert killed.returncode == -9
    told = read(bring(url))
    assert told["known"] == 2, "what was whole before the kill is not brought again"
    counts = {name: count for name, count in told["there"].items() if name != "digest"}
    assert counts == {
        "runs": 6, "params": 7, "tags": counts["tags"], "points": 74, "datasets": 6, "files": 14, "bytes": 7035,
        "models": 1, "registered": 1, "versions": 1,
    }  # fmt: skip
    assert told["here"] == told["there"]
    assert told["left_out"] == []
    again = read(bring(url))
    assert again["here"] == told["here"]
    assert again["known"] == 8
    client = Client(home)
    try:
        check(client, ids, model.removeprefix("m-"))
        late = run("fill", "more")
        assert read(bring(url))["known"] == 7
        assert [point[2] for point in client.ask(GetSeries(run_id=late, key="late"))] == [7.0]
        client.ask(RemoveFiles(run_id=ids[1], path="out/note.txt"))
        lacking = read(bring(url), 1)["different"]
        sent = read_export(send(url, "--experiment", "churn"))
        assert (sent["runs"], sent["known"], sent["points"], sent["files"], sent["left_out"]) == (6, 0, 74, 13, [])
        again = read_export(send(url, "--experiment", "churn"))
        assert (again["runs"], again["models"], again["known"]) == (6, 1, 7)
        assert lacking == [f"{ids[1]}: bytes 1005 and 1000, files 2 and 1"]
    finally:
        client.close()
        end_owner(home)


ASK = """\
import json, mlflow, pathlib
from mlflow import MlflowClient

client = MlflowClient()
found = {}
for model in client.search_registered_models():
    versions = client.search_model_versions(f"name='{model.name}'")
    found[model.name] = {
        "told": [model.description, model.tags, {alias: int(at) for alias, at in model.aliases.items()}],
        "versions": {
            int(each.version): [each.tags["q"], each.description, each.current_stage] for each in versions
        },
        "files": sorted(
            (path.name, path.read_bytes().decode())
            for path in pathlib.Path(mlflow.artifacts.download_artifacts(f"models:/{model.name}@best")).iterdir()
            if path.name != "registered_model_meta"  # the client's own
        ),
    }
print(json.dumps(found))
"""


def test_registered_models_go_to_a_server_with_their_files(server, client, tmp_path):
    url, run = server
    files = {"MLmodel": b"flavors: {}", "weights": b"w"}
    model = client.ask(AddLoggedModel(experiment=0, name="rate model")).id
    told = [File(path, client.blobs.put(content), len(content)) for path, content in files.items()]
    client.ask(PutFiles(files=told, model_id=model))
    client.ask(SetLoggedModel(model_id=model, state="ready"))
    client.ask(RegisterModel(name="rates", description="how much", tags={"owner": "anna"}))
    for number in (1, 2):
        adding = AddVersion(name="rates", source=f"models:/m-{model}", description=f"v{number}", tags={"q": "w"})
        client.ask(adding, f"key {number}")
    native = client.ask(
        PutVersion("model", "delays", "0" * 64, {each.path: each.digest for each in told}, {}, tags={"q": "n"})
    )
    client.ask(StageVersion(name="rates", number=1, stage="Production"))
    client.ask(MoveAlias("model", "rates", "best", 2, "test"))
    client.ask(MoveAlias("model", "delays", "best", native.number, "test"))
    first = read_export(send(url))
    counts = {name: first[name] for name in ("models", "registered", "versions", "files", "known", "left_out")}
    assert counts == {"models": 1, "registered": 2, "versions": 3, "files": 8, "known": 0, "left_out": []}
    again = read_export(send(url))
    assert (again["known"], again["versions"]) == (4, 3)
    there = json.loads(run("ask"))
    shown = sorted([name, content.decode()] for name, content in files.items())
    assert there["rates"]["told"] == ["how much", {"owner": "anna"}, {"best": 2}]
    assert there["rates"]["versions"] == {"1": ["w", "v1", "Production"], "2": ["w", "v2", "None"]}
    assert there["rates"]["files"] == there["delays"]["files"] == shown
    client.ask(MoveAlias("model", "rates", "best", 1, "test"))
    client.ask(DescribeModel(name="rates", number=1, description="better"))
    changed = read_export(send(url))
    assert (changed["known"], changed["different"]) == (3, [])
    there = json.loads(run("ask"))["rates"]
    assert (there["told"][2], there["versions"]["1"][1]) == ({"best": 1}, "better")
    assert len(there["versions"]) == 2


def check(client, ids, model_id):
    logged = client.ask(GetLoggedRun(run_id=ids[1]))
    assert (logged.run.name, logged.run.state, logged.run.kind) == ("run 1", "failed", "script")
    assert (logged.run.started_at, logged.run.ended_at) == (1_700_000_000.001, 1_700_000_100.001)
    assert logged.run.params == {"text": "\u00fc; 'x'"}
    assert logged.run.experiment == "churn"
    assert [(each.name, each.digest, each.tags) for each in logged.datasets] == [
        ("iris", "d1", {"mlflow.data.context": "train"})
    ]
    series = client.ask(GetSeries(run_id=ids[1], key="loss"))
    assert len(series) == 12
    assert math.isnan(series[0][2])
    assert [value for _, _, value in series[2:4]] == [0.1, 1e300]
    assert [each.path for each in client.ask(ListFiles(run_id=ids[1]))] == ["out/note.txt", "out/sub/x y.bin"]
    assert [each.model_id for each in client.ask(GetLoggedRun(run_id=ids[0])).made] == [f"m-{model_id}"]
    model = client.ask(GetLoggedModel(model_id=model_id))
    assert (model.name, model.state, model.run_id, model.params) == ("fit", "ready", ids[0], {"depth": "3"})
    assert [(each.key, each.value, each.dataset) for each in model.metrics] == [("auc", 0.9, "iris")]
    version = client.ask(GetVersion(kind="model", reference="delays@champion"))
    assert (version.number, version.run_id, version.tags["q"]) == (1, ids[0], "w")
    assert client.blobs.get(version.manifest["note.txt"]) == b"hello"


class Doorkeeper(BaseHTTPRequestHandler):
    """Lets nobody in, and remembers who asked."""

    shown = []

    def do_POST(self):
        self.shown.append(self.headers.get("Authorization", ""))
        body = b'{"error_code": "UNAUTHENTICATED", "message": "who are you"}'
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Print nothing."""


def test_who_asks_is_told_in_a_header_and_nowhere_else(home):
    door = ThreadingHTTPServer(("127.0.0.1", 0), Doorkeeper)
    threading.Thread(target=door.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{door.server_port}"
    secret = {"MLFLOW_TRACKING_USERNAME": "anna", "MLFLOW_TRACKING_PASSWORD": "canary-password"}
    try:
        refused = bring(url, **secret)
        assert (refused.returncode, json.loads(refused.stderr)["error"]["code"]) == (4, "IMPORT-001")
        assert "who are you" in refused.stderr
        assert "canary" not in refused.stderr + refused.stdout
        assert set(Doorkeeper.shown) == {"Basic YW5uYTpjYW5hcnktcGFzc3dvcmQ="}
        bad = bring(f"http://anna:canary@127.0.0.1:{door.server_port}")
        assert (bad.returncode, json.loads(bad.stderr)["error"]["code"]) == (2, "FETCH-005")
        assert "canary" not in bad.stderr
    finally:
        door.shutdown()
        door.server_close()
        end_owner(home)
    nobody = bring(url)
    assert (nobody.returncode, json.loads(nobody.stderr)["error"]["code"]) == (6, "FETCH-002")
    end_owner(home)
