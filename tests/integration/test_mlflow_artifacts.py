"""Artifacts and logged models over MLflow's protocol, request by request."""

import hashlib
import os

import pytest
from tests.support.access import HOME_USER, Person
from tests.support.relays import Site

from mainspring.domain import access, messages, records, tracking

AT = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture
def site(desk):
    return Site(desk)


@pytest.fixture
def call(site):
    def send(verb, path, expect=200, **options):
        answer = site(verb, path, **options)
        assert answer.status_code == expect, answer.text
        return answer

    return send


@pytest.fixture
def run_id(call):
    return call("POST", f"{AT}/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]["run_id"]


@pytest.fixture
def model(call, run_id):
    body = {"experiment_id": "0", "name": "fit", "source_run_id": run_id, "params": [{"key": "depth", "value": "3"}]}
    return call("POST", f"{AT}/logged-models", json=body).json()["model"]


def refused(answer, code):
    told = answer.json()
    assert set(told) == {"error_code", "message"}
    assert told["error_code"] == code, told
    return told["message"]


def test_files_go_in_are_listed_come_out_and_go(call, run_id):
    root = f"0/{run_id}/artifacts"
    for path, content in {"note.txt": b"hello", "plots/roc curve.png": b"png", "plots/deep/x.bin": b"x" * 9}.items():
        assert call("PUT", f"{FILES}/{root}/{path}", content=content).json() == {}
    listed = call("GET", f"{AT}/artifacts/list", params={"run_id": run_id}).json()
    assert listed == {
        "root_uri": f"mlflow-artifacts:/{root}",
        "files": [{"path": "note.txt", "is_dir": False, "file_size": 5}, {"path": "plots", "is_dir": True}],
    }
    listed = call("GET", f"{AT}/artifacts/list", params={"run_id": run_id, "path": "plots"}).json()["files"]
    assert [each["path"] for each in listed] == ["plots/deep", "plots/roc curve.png"]
    listed = call("GET", FILES, params={"path": f"{root}/plots"}).json()["files"]
    assert listed == [{"path": "deep", "is_dir": True}, {"path": "roc curve.png", "is_dir": False, "file_size": 3}]
    for path, query in ((f"{FILES}/{root}/note.txt", {}), ("/get-artifact", {"run_id": run_id, "path": "note.txt"})):
        answer = call("GET", path, params=query)
        assert answer.content == b"hello"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith('attachment; filename="note.txt"')
    part = call("GET", f"{FILES}/{root}/note.txt", 206, headers={"Range": "bytes=1-3"})
    assert part.content == b"ell"
    call("DELETE", f"{FILES}/{root}/plots")
    listed = call("GET", f"{AT}/artifacts/list", params={"run_id": run_id}).json()["files"]
    assert [each["path"] for each in listed] == ["note.txt"]
    gone = call("GET", f"{FILES}/{root}/plots/deep/x.bin", 404)
    assert "plots/deep/x.bin" in refused(gone, "RESOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize(
    "path",
    [
        "..%2f..%2fsecret", "%2e%2e/secret", "%252e%252e%252fsecret", "a%5c..%5cb", "a%00b", "%2fetc%2fpasswd",
        "file:%2f%2f%2fetc%2fpasswd", "a%23b", "a%3bb", "a%0ab", "x" * 256, "%ef%bc%8e%ef%bc%8e/secret", "a//b",
    ],
)  # fmt: skip
def test_each_trick_with_a_path_is_one_clear_error(call, run_id, path):
    root = f"{FILES}/0/{run_id}/artifacts"
    call("PUT", f"{root}/note.txt", content=b"hello")
    for verb in ("GET", "PUT", "DELETE"):
        answer = call(verb, f"{root}/{path}", 400, **({"content": b"x"} if verb == "PUT" else {}))
        assert "Invalid path: " in refused(answer, "INVALID_PARAMETER_VALUE")
    for where, query in ((f"{AT}/artifacts/list", "path"), ("/get-artifact", "path")):
        answer = call("GET", f"{where}?run_id={run_id}&{query}={path}", 400)
        assert "Invalid path: " in refused(answer, "INVALID_PARAMETER_VALUE")
    listed = call("GET", f"{AT}/artifacts/list", params={"run_id": run_id}).json()["files"]
    assert [each["path"] for each in listed] == ["note.txt"]


def test_a_path_that_names_no_run_is_refused(call, run_id):
    for place in (
        "0",
        "0/traces/tr-1/artifacts/x",
        f"x/{run_id}/artifacts/a",
        f"0/{run_id[:8]}/artifacts/a",
        "models/fit",
    ):
        for verb in ("GET", "PUT"):
            answer = call(verb, f"{FILES}/{place}", 400, **({"content": b"x"} if verb == "PUT" else {}))
            assert "names no run" in refused(answer, "INVALID_PARAMETER_VALUE")
    answer = call("PUT", f"{FILES}/0/{'0' * 32}/artifacts/a", 404, content=b"x")
    assert refused(answer, "RESOURCE_DOES_NOT_EXIST") == f"Run with id={'0' * 32} not found"


def test_a_blob_that_was_cut_is_told_and_not_sent(desk, call, run_id):
    path = f"{FILES}/0/{run_id}/artifacts/note.txt"
    call("PUT", path, content=b"hello")
    blob = desk.blobs.path(hashlib.sha256(b"hello").hexdigest())
    blob.chmod(0o600)
    blob.write_bytes(b"hel")
    message = refused(call("GET", path, 500), "INTERNAL_ERROR")
    assert "note.txt has 3 bytes in its blob, and 5 were put (FILE-003)" in message
    blob.unlink()
    refused(call("GET", path, 404), "RESOURCE_DOES_NOT_EXIST")


def test_a_disk_that_runs_full_while_a_file_comes_leaves_nothing(desk, call, run_id, monkeypatch):
    path = f"{FILES}/0/{run_id}/artifacts/big.bin"
    call("PUT", f"{FILES}/0/{run_id}/artifacts/note.txt", content=b"hello")

    def fail(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", fail)
    message = refused(call("PUT", path, 503, content=b"x" * 100_000), "TEMPORARILY_UNAVAILABLE")
    assert "HOME-006" in message
    monkeypatch.undo()
    refused(call("GET", path, 404), "RESOURCE_DOES_NOT_EXIST")
    assert call("GET", f"{FILES}/0/{run_id}/artifacts/note.txt").content == b"hello"
    assert [each.digest for each in desk.blobs.list()] == [hashlib.sha256(b"hello").hexdigest()]
    call("PUT", path, content=b"x" * 100_000)


def test_quotas_roles_and_projects_bind_files(desk, site, run_id):
    viewer = Person(desk, "vera", "viewer")
    desk.ask(access.AddProject(name="rail"), actor=HOME_USER)
    other = Person(desk, "ben", "editor", project="rail")
    path = f"/0/{run_id}/artifacts/a"
    assert site("PUT", f"{FILES}{path}", content=b"a").status_code == 200
    assert site("GET", f"{FILES}{path}", viewer.token).content == b"a"
    for verb, person in (("PUT", viewer), ("DELETE", viewer), ("GET", other), ("PUT", other)):
        answer = site(verb, f"{FILES}{path}", person.token, **({"content": b"b"} if verb == "PUT" else {}))
        assert answer.status_code == 403
        refused(answer, "PERMISSION_DENIED")
    answer = site("GET", f"/projects/rail{FILES}{path}", other.token)
    assert (answer.status_code, refused(answer, "RESOURCE_DOES_NOT_EXIST")) == (404, f"Run with id={run_id} not found")
    desk.ask(access.SetProject(name="default", quota_bytes=10), actor=HOME_USER)
    answer = site("PUT", f"{FILES}/0/{run_id}/artifacts/big", content=b"x" * 100)
    assert "KEEP-005" in refused(answer, "RESOURCE_CONFLICT")


def test_what_was_logged_natively_is_files_too(desk, call, run_id):
    run = desk.ask(messages.BeginRun(kind="step", name="fit")).run
    inner = desk.blobs.put(b"column,value\n")
    listing = f'{{"path": "/tmp/out", "name": "out", "files": {{"a/data.csv": ["{inner}", 13, 0]}}}}'.encode()
    logged = [
        tracking.Artifact("curve", 0, 1.0, records.Value("png", desk.blobs.put(b"png0"), 4)),
        tracking.Artifact("curve", 5, 1.0, records.Value("png", desk.blobs.put(b"png5"), 4)),
        tracking.Artifact("note", 0, 1.0, records.Value("text", desk.blobs.put(b"hello"), 5)),
        tracking.Artifact("out", 0, 1.0, records.Value("path", desk.blobs.put(listing), len(listing), parts=(inner,))),
        tracking.Artifact("pickle", 0, 1.0, records.Value("sealed", desk.blobs.put(b"?"), 1)),
        tracking.Artifact("../up", 0, 1.0, records.Value("text", desk.blobs.put(b"?"), 1)),
    ]
    desk.ask(messages.Report(run_id=run.id, attempt=1, fence=run.fence, offset=1, artifacts=logged))
    root = f"0/{run.id}/artifacts"
    call("PUT", f"{FILES}/{root}/own.bin", content=b"own")
    listed = call("GET", f"{AT}/artifacts/list", params={"run_id": run.id}).json()["files"]
    assert [each["path"] for each in listed] == ["curve", "note.txt", "out", "own.bin"]
    assert call("GET", f"{FILES}/{root}/curve/5.png").content == b"png5"
    assert call("GET", f"{FILES}/{root}/out/a/data.csv").content == b"column,value\n"
    call("GET", f"{FILES}/{root}/pickle", 404)


def test_versions_are_read_and_never_changed(desk, call):
    manifest = {"MLmodel": desk.blobs.put(b"flavors: {}"), "data/model.bin": desk.blobs.put(b"xyz")}
    desk.ask(messages.PutVersion(kind="model", name="delays", digest="d" * 64, manifest=manifest))
    listed = call("GET", FILES, params={"path": "models/delays/1"}).json()["files"]
    assert listed == [{"path": "MLmodel", "is_dir": False, "file_size": 11}, {"path": "data", "is_dir": True}]
    assert call("GET", f"{FILES}/models/delays/1/data/model.bin").content == b"xyz"
    query = {"name": "delays", "version": "1", "path": "data/model.bin"}
    assert call("GET", "/model-versions/get-artifact", params=query).content == b"xyz"
    refused(call("GET", f"{FILES}/models/delays/1/other", 404), "RESOURCE_DOES_NOT_EXIST")
    refused(call("GET", f"{FILES}/models/delays/2/MLmodel", 404), "RESOURCE_DOES_NOT_EXIST")
    for verb in ("PUT", "DELETE"):
        message = refused(call(verb, f"{FILES}/models/delays/1/MLmodel", 403, content=b""), "PERMISSION_DENIED")
        assert "delays@1 is a version" in message


def test_parts_and_presigned_addresses_are_refused_in_words_that_clients_know(call, run_id):
    for way in ("create", "complete", "abort"):
        answer = call("POST", f"/api/2.0/mlflow-artifacts/mpu/{way}/0/{run_id}/artifacts", 501, json={"path": "a"})
        assert refused(answer, "NOT_IMPLEMENTED").startswith("Multipart upload is not supported for the current")
    answer = call("GET", f"/api/2.0/mlflow-artifacts/presigned/0/{run_id}/artifacts/a", 501)
    assert refused(answer, "NOT_IMPLEMENTED").startswith("Multipart download is not supported")


def test_a_logged_model_lives_from_pending_to_deleted(call, model, run_id):
    info = model["info"]
    at = f"{AT}/logged-models/{info['model_id']}"
    assert info["model_id"].startswith("m-")
    assert (info["status"], info["name"], info["source_run_id"]) == ("LOGGED_MODEL_PENDING", "fit", run_id)
    assert info["artifact_uri"] == f"mlflow-artifacts:/0/models/{info['model_id']}/artifacts"
    root = info["artifact_uri"].removeprefix("mlflow-artifacts:/")
    call("PUT", f"{FILES}/{root}/MLmodel", content=b"flavors: {}")
    call("PUT", f"{FILES}/{root}/data/model.bin", content=b"xyz")
    listed = call("GET", f"{at}/artifacts/directories", params={"artifact_directory_path": "data"}).json()
    assert listed["files"] == [{"path": "data/model.bin", "is_dir": False, "file_size": 3}]
    assert call("GET", f"{FILES}/{root}/data/model.bin").content == b"xyz"
    done = call("PATCH", at, json={"model_id": info["model_id"], "status": "LOGGED_MODEL_READY"}).json()["model"]
    assert done["info"]["status"] == "LOGGED_MODEL_READY"
    call("PATCH", f"{at}/tags", json={"tags": [{"key": "team", "value": "air"}, {"key": "a/b", "value": "c"}]})
    call("DELETE", f"{at}/tags/a/b")
    answer = call("DELETE", f"{at}/tags/none", 404)
    assert "No tag with key 'none' found" in refused(answer, "RESOURCE_DOES_NOT_EXIST")
    call("POST", f"{at}/params", json={"params": [{"key": "rate", "value": "0.1"}]})
    answer = call("POST", f"{at}/params", 409, json={"params": [{"key": "rate", "value": "0.2"}]})
    assert "'rate'" in refused(answer, "RESOURCE_CONFLICT")
    point = {"run_id": run_id, "key": "auc", "value": 0.9, "timestamp": 1_000, "step": 3}
    call("POST", f"{AT}/runs/log-metric", json={**point, "model_id": info["model_id"], "dataset_name": "held out"})
    body = {"run_id": run_id, "metrics": [{**point, "value": 0.7, "step": 4, "model_id": info["model_id"]}]}
    call("POST", f"{AT}/runs/log-batch", json=body)
    found = call("GET", at).json()["model"]
    assert found["info"]["tags"] == [{"key": "team", "value": "air"}]
    assert found["data"]["params"] == [{"key": "depth", "value": "3"}, {"key": "rate", "value": "0.1"}]
    told = {
        (each.get("dataset_name"), each["value"], each["step"], each["run_id"]) for each in found["data"]["metrics"]
    }
    assert told == {("held out", 0.9, 3, run_id), (None, 0.7, 4, run_id)}
    bad = {"run_id": run_id, "key": "auc", "value": 1.0, "timestamp": 1, "model_id": "m-none"}
    answer = call("POST", f"{AT}/runs/log-metric", 404, json=bad)
    assert refused(answer, "RESOURCE_DOES_NOT_EXIST") == "Logged model with ID 'm-none' not found."
    call("DELETE", at)
    refused(call("GET", at, 404), "RESOURCE_DOES_NOT_EXIST")
    refused(call("GET", f"{FILES}/{root}/MLmodel", 404), "RESOURCE_DOES_NOT_EXIST")
    assert call("GET", at, params={"allow_deleted": "true"}).json()["model"]["info"]["name"] == "fit"
    answer = call("POST", f"{AT}/logged-models", 400, json={"experiment_id": "0", "name": "a/b"})
    assert "cannot contain the following characters" in refused(answer, "INVALID_PARAMETER_VALUE")


def test_logged_models_are_searched_and_ordered(call, run_id):
    for name, auc, size in (("small", 0.7, "1"), ("big", 0.9, "9"), ("odd", None, "5")):
        body = {"experiment_id": "0", "name": name, "tags": [{"key": "size", "value": size}], "source_run_id": run_id}
        model_id = call("POST", f"{AT}/logged-models", json=body).json()["model"]["info"]["model_id"]
        if auc is not None:
            point = {"run_id": run_id, "key": "auc", "value": auc, "timestamp": 1, "model_id": model_id}
            call("POST", f"{AT}/runs/log-metric", json={**point, "dataset_name": name, "dataset_digest": "d1"})

    def search(expect=200, **options):
        return call("POST", f"{AT}/logged-models/search", expect, json={"experiment_ids": ["0"], **options})

    def names(**options):
        return [each["info"]["name"] for each in search(**options).json()["models"]]

    assert names() == ["odd", "big", "small"]
    assert names(filter="metrics.auc > 0.8") == ["big"]
    assert names(filter="name LIKE 's%' AND tags.size = '1'") == ["small"]
    assert names(filter='name ILIKE "B%" AND attributes.creation_timestamp > 0') == ["big"]
    given = [{"field_name": "creation_timestamp_ms"}, {"field_name": "name", "ascending": False}]
    assert names(order_by=given) == ["small", "odd", "big"]
    assert names(filter="name IN ('odd', 'big') AND params.x = '1'") == []
    assert names(filter=f"source_run_id = '{run_id}' and tags.`size` != '9'") == ["odd", "small"]
    assert names(datasets=[{"dataset_name": "small"}]) == ["small"]
    assert names(order_by=[{"field_name": "metrics.auc", "ascending": False}]) == ["big", "small", "odd"]
    first = search(max_results=2).json()
    assert len(first["models"]) == 2
    assert names(max_results=2, page_token=first["next_page_token"]) == ["small"]
    answer = search(400, filter="name = 'x'", max_results=2, page_token=first["next_page_token"])
    assert "LMODEL-005" in refused(answer, "INVALID_PARAMETER_VALUE")
    for filter_, place in (("metrics.auc >", 14), ("auc = 1", 1), ("metrics.auc LIKE 'x'", 13), ("name = 'x' OR", 12)):
        message = refused(search(400, filter=filter_), "INVALID_PARAMETER_VALUE")
        assert f"(at character {place} of the filter string)" in message, message
    refused(search(400, experiment_ids=[]), "INVALID_PARAMETER_VALUE")
