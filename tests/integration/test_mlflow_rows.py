"""The support table of MLflow's protocol, row by row: each is proved by a call that is answered."""

import itertools
import json
import re

import pytest
from tests.support.homes import Desk
from tests.support.relays import Site

from mainspring.api.mlflow.routes import TABLE
from mainspring.store.homes import place_home

AT = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"


class World:
    """A record with something of everything; what a call removes is made for that call."""

    def __init__(self, desk):
        self.site = Site(desk)
        self.numbers = itertools.count(1)
        self.experiment = self.make_experiment()
        self.run = self.make_run()
        point = {"key": "loss", "value": 0.5, "timestamp": 7, "step": 1}
        data = {"dataset": {"name": "iris", "digest": "d1", "source_type": "local", "source": "{}"}}
        self.post("runs/log-batch", run_id=self.run, metrics=[point], tags=[{"key": "t", "value": "1"}])
        self.post("runs/log-inputs", run_id=self.run, datasets=[data])
        self.root = f"{self.experiment}/{self.run}/artifacts"
        self.upload("out/note.txt")
        self.model = self.make_model()
        self.name = self.make_name()
        self.post("registered-models/alias", name=self.name, alias="best", version="1")

    def ask(self, verb, path, **options):
        answer = self.site(verb, path, **options)
        assert answer.status_code == 200, f"{verb} {path}: {answer.text}"
        return answer

    def post(self, path, **fields):
        return self.ask("POST", f"{AT}/{path}", json=fields).json()

    def upload(self, path):
        self.ask("PUT", f"{FILES}/{self.root}/{path}", content=b"hello")
        return path

    def make_experiment(self):
        given = {"name": f"experiment {next(self.numbers)}", "tags": [{"key": "t", "value": "1"}]}
        return self.post("experiments/create", **given)["experiment_id"]

    def hide_experiment(self):
        number = self.make_experiment()
        self.post("experiments/delete", experiment_id=number)
        return number

    def make_run(self):
        given = {"experiment_id": self.experiment, "tags": [{"key": "t", "value": "1"}]}
        return self.post("runs/create", **given)["run"]["info"]["run_id"]

    def hide_run(self):
        run_id = self.make_run()
        self.post("runs/delete", run_id=run_id)
        return run_id

    def make_model(self):
        given = {"experiment_id": self.experiment, "name": "fit", "tags": [{"key": "t", "value": "1"}]}
        return self.post("logged-models", **given)["model"]["info"]["model_id"]

    def make_name(self):
        name = f"model-{next(self.numbers)}"
        self.post("registered-models/create", name=name, tags=[{"key": "t", "value": "1"}])
        given = {"source": f"runs:/{self.run}/out", "run_id": self.run, "tags": [{"key": "t", "value": "1"}]}
        self.post("model-versions/create", name=name, **given)
        return name

    def make_aliased(self):
        name = self.make_name()
        self.post("registered-models/alias", name=name, alias="best", version="1")
        return name


ROWS = {
    "GET /version": (lambda _: {}, "."),
    "GET /health": (lambda _: {}, ""),
    "GET /api/3.0/mlflow/server-info": (lambda _: {}, "{"),
    "POST experiments/create": (lambda _: {"name": "made"}, "experiment_id"),
    "GET experiments/get": (lambda w: {"experiment_id": w.experiment}, "experiment"),
    "GET experiments/get-by-name": (lambda _: {"experiment_name": "Default"}, "experiment"),
    "GET experiments/search": (lambda _: {"max_results": 5}, "experiments"),
    "POST experiments/search": (lambda _: {"max_results": 5}, "experiments"),
    "POST experiments/search-datasets": (lambda w: {"experiment_ids": [w.experiment]}, "iris"),
    "POST experiments/update": (lambda w: {"experiment_id": w.make_experiment(), "new_name": "renamed"}, ""),
    "POST experiments/delete": (lambda w: {"experiment_id": w.make_experiment()}, ""),
    "POST experiments/restore": (lambda w: {"experiment_id": w.hide_experiment()}, ""),
    "POST experiments/set-experiment-tag": (lambda w: {"experiment_id": w.experiment, "key": "k", "value": "v"}, ""),
    "POST experiments/delete-experiment-tag": (lambda w: {"experiment_id": w.make_experiment(), "key": "t"}, ""),
    "POST runs/create": (lambda w: {"experiment_id": w.experiment}, "run_id"),
    "GET runs/get": (lambda w: {"run_id": w.run}, "loss"),
    "POST runs/update": (lambda w: {"run_id": w.make_run(), "status": "FINISHED"}, "FINISHED"),
    "POST runs/delete": (lambda w: {"run_id": w.make_run()}, ""),
    "POST runs/restore": (lambda w: {"run_id": w.hide_run()}, ""),
    "POST runs/log-metric": (lambda w: {"run_id": w.make_run(), "key": "m", "value": 1, "timestamp": 1}, ""),
    "POST runs/log-parameter": (lambda w: {"run_id": w.make_run(), "key": "p", "value": "1"}, ""),
    "POST runs/log-batch": (lambda w: {"run_id": w.make_run(), "params": [{"key": "p", "value": "1"}]}, ""),
    "POST runs/set-tag": (lambda w: {"run_id": w.make_run(), "key": "k", "value": "v"}, ""),
    "POST runs/delete-tag": (lambda w: {"run_id": w.make_run(), "key": "t"}, ""),
    "POST runs/log-inputs": (lambda w: {"run_id": w.make_run(), "models": [{"model_id": w.model}]}, ""),
    "POST runs/outputs": (lambda w: {"run_id": w.make_run(), "models": [{"model_id": w.model, "step": 0}]}, ""),
    "POST runs/search": (lambda w: {"experiment_ids": [w.experiment], "filter": "metrics.loss < 1"}, "loss"),
    "POST logged-models": (lambda w: {"experiment_id": w.experiment, "name": "made"}, "model_id"),
    "POST logged-models/search": (lambda w: {"experiment_ids": [w.experiment]}, "model_id"),
    "GET logged-models/{model_id}": (lambda _: {}, "model_id"),
    "PATCH logged-models/{model_id}": (lambda _: {"status": "LOGGED_MODEL_READY"}, "LOGGED_MODEL_READY"),
    "DELETE logged-models/{model_id}": (lambda _: {}, ""),
    "POST logged-models/{model_id}/params": (lambda _: {"params": [{"key": "p", "value": "1"}]}, ""),
    "PATCH logged-models/{model_id}/tags": (lambda _: {"tags": [{"key": "k", "value": "v"}]}, "model_id"),
    "DELETE logged-models/{model_id}/tags/{key:path}": (lambda _: {}, ""),
    "GET logged-models/{model_id}/artifacts/directories": (lambda _: {}, "root_uri"),
    "GET artifacts/list": (lambda w: {"run_id": w.run, "path": "out"}, "out/note.txt"),
    f"GET {FILES}": (lambda w: {"path": f"{w.root}/out"}, "note.txt"),
    f"GET {FILES}/{{path:path}}": (lambda _: {}, "hello"),
    f"PUT {FILES}/{{path:path}}": (lambda _: {}, ""),
    f"DELETE {FILES}/{{path:path}}": (lambda _: {}, ""),
    "GET /get-artifact": (lambda w: {"run_id": w.run, "path": "out/note.txt"}, "hello"),
    "GET /model-versions/get-artifact": (lambda w: {"name": w.name, "version": "1", "path": "note.txt"}, "hello"),
    "POST registered-models/create": (lambda _: {"name": "made"}, "registered_model"),
    "GET registered-models/get": (lambda w: {"name": w.name}, "best"),
    "PATCH registered-models/update": (lambda w: {"name": w.name, "description": "late"}, "late"),
    "POST registered-models/rename": (lambda w: {"name": w.make_name(), "new_name": "other"}, "other"),
    "DELETE registered-models/delete": (lambda w: {"name": w.make_name()}, ""),
    "GET registered-models/search": (lambda w: {"filter": f"name = '{w.name}'"}, "best"),
    "GET registered-models/get-latest-versions": (lambda w: {"name": w.name}, "model_versions"),
    "POST registered-models/get-latest-versions": (lambda w: {"name": w.name}, "model_versions"),
    "POST registered-models/set-tag": (lambda w: {"name": w.name, "key": "k", "value": "v"}, ""),
    "DELETE registered-models/delete-tag": (lambda w: {"name": w.make_name(), "key": "t"}, ""),
    "POST registered-models/alias": (lambda w: {"name": w.make_name(), "alias": "best", "version": "1"}, ""),
    "GET registered-models/alias": (lambda w: {"name": w.name, "alias": "best"}, "READY"),
    "DELETE registered-models/alias": (lambda w: {"name": w.make_aliased(), "alias": "best"}, ""),
    "POST model-versions/create": (lambda w: {"name": w.make_name(), "source": f"runs:/{w.run}/out"}, "READY"),
    "GET model-versions/get": (lambda w: {"name": w.name, "version": "1"}, "READY"),
    "PATCH model-versions/update": (lambda w: {"name": w.name, "version": "1", "description": "late"}, "late"),
    "POST model-versions/transition-stage": (
        lambda w: {"name": w.make_name(), "version": "1", "stage": "Staging", "archive_existing_versions": False},
        "Staging",
    ),
    "DELETE model-versions/delete": (lambda w: {"name": w.make_name(), "version": "1"}, ""),
    "GET model-versions/search": (lambda w: {"filter": f"name = '{w.name}'"}, "READY"),
    "GET model-versions/get-download-uri": (lambda w: {"name": w.name, "version": "1"}, "artifact_uri"),
    "POST model-versions/set-tag": (lambda w: {"name": w.name, "version": "1", "key": "k", "value": "v"}, ""),
    "DELETE model-versions/delete-tag": (lambda w: {"name": w.make_name(), "version": "1", "key": "t"}, ""),
    "GET metrics/get-history": (lambda w: {"run_id": w.run, "metric_key": "loss"}, "0.5"),
    "GET metrics/get-history-bulk": (lambda w: {"run_id": w.run, "metric_key": "loss"}, "0.5"),
    "GET metrics/get-history-bulk-interval": (lambda w: {"run_ids": w.run, "metric_key": "loss"}, "0.5"),
}
"""Row -> fields of a call, and what its answer must hold; a path stands below ``/api/2.0/mlflow`` or is whole."""

REFUSED = {each.name for each in TABLE if each.note == "refused"}


def complete(row):
    verb, path = row.split(" ", 1)
    return row if path.startswith("/") else f"{verb} {AT}/{path}"


KNOWN = {complete(row): call for row, call in ROWS.items()}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    desk = Desk(place_home(tmp_path_factory.mktemp("rows") / "home"))
    yield World(desk)
    desk.close()


def fill(world, endpoint):
    """Return the path of a row; what is removed or written has a place of its own."""
    own = endpoint.method != "GET"
    below = f"{world.root}/{world.upload('own.txt') if own else 'out/note.txt'}"
    places = {"model_id": world.make_model() if own else world.model, "key": "t", "path": below}
    return re.sub(r"\{([a-z_]+)(:path)?\}", lambda place: places[place[1]], endpoint.path)


@pytest.mark.parametrize("endpoint", TABLE, ids=lambda each: each.name)
def test_a_row_is_answered_as_the_table_says(world, endpoint):
    path = fill(world, endpoint) if "{" in endpoint.path else endpoint.path
    if endpoint.name in REFUSED:
        answer = world.site(endpoint.method, path, json={})
        assert (answer.status_code, answer.json()["error_code"]) == (501, "NOT_IMPLEMENTED")
        return
    assert endpoint.name in KNOWN, "a row without a call that proves it: add it to ROWS"
    fields, held = KNOWN[endpoint.name]
    given = fields(world)
    sent = {"params": given} if endpoint.method == "GET" else {"json": given}
    text = world.ask(endpoint.method, path, **sent).text
    assert held in text, text
    if endpoint.path.startswith(f"{AT}/"):
        assert isinstance(json.loads(text), dict)


def test_every_call_is_of_a_row():
    assert set(KNOWN) | REFUSED == {each.name for each in TABLE}
