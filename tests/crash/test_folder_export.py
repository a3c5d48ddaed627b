"""A record in a folder and back: killed in the middle, compared, not written twice, believed by its hashes."""

import json
import math
import os
import subprocess
import sys

import pytest
from tests.integration.test_promotion import fit, make_parcels
from tests.support.homes import end_owner
from tests.support.shapes import check_shape

import mainspring as ms
from mainspring.domain.experiments import (
    AddExperiment,
    DatasetInput,
    GetLoggedRun,
    LogBatch,
    LogInputs,
    OpenRun,
    SetRun,
)
from mainspring.domain.files import File, ListFiles, PutFiles
from mainspring.domain.loggedmodels import AddLoggedModel, GetLoggedModel, SetLoggedModel
from mainspring.domain.messages import GetVersion, MoveAlias
from mainspring.domain.registry import AddVersion, GetModel, RegisterModel, StageVersion
from mainspring.domain.tracking import GetSeries
from mainspring.sdk.client import Client
from mainspring.sdk.owners import start_owner
from mainspring.store.homes import place_home


def work(verb, folder, expect=0, **extra):
    """Export or import, as somebody types it."""
    done = subprocess.run(
        [sys.executable, "-m", "mainspring", verb, "mlflow", str(folder), "--json"],
        env={**os.environ, **extra}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == expect, done.stderr + done.stdout
    return check_shape(f"mainspring {verb}", done.stdout) if expect == 0 else json.loads(done.stderr or "{}")


@pytest.fixture
def record(client):
    """Runs with history and files, a logged model, and registered models of both kinds; their ids."""
    number = client.ask(AddExperiment(name="churn", tags={"team": "air"})).number
    runs = []
    for place in range(3):
        run = client.ask(OpenRun(experiment=number, name=f"run {place}", started_at=1_700_000_000.0 + place)).run.id
        values = [math.nan, math.inf, 0.1, 1e300]
        points = [("a/loss", step, 1_700_000_001.5 + step, values[step % 4]) for step in range(12)]
        client.ask(LogBatch(run_id=run, points=points, params={"text": "ü; 'x'"}, tags={"n": str(place)}))
        put(client, {"out/note.txt": b"hello", "out/x y.bin": b"x" * 1000}, run_id=run)
        client.ask(LogInputs(run_id=run, datasets=[DatasetInput("iris", "d1", "local", "{}", None, None, {"a": "b"})]))
        client.ask(SetRun(run_id=run, state=["succeeded", "failed", "cancelled"][place], ended_at=1_700_000_100.0))
        runs.append(run)
    model = client.ask(AddLoggedModel(experiment=number, name="fit", run_id=runs[0], params={"depth": "3"})).id
    put(client, {"MLmodel": b"flavors: {}", "weights": b"w"}, model_id=model)
    client.ask(SetLoggedModel(model_id=model, state="ready"))
    client.ask(RegisterModel(name="rates", description="how much", tags={"owner": "anna"}))
    for _ in range(2):
        client.ask(AddVersion(name="rates", source=f"models:/m-{model}", tags={"q": "w"}), os.urandom(8).hex())
    client.ask(StageVersion(name="rates", number=1, stage="Production"))
    parcels = ms.write(make_parcels(500), "parcels")
    ms.register(fit(parcels.polars(), rounds=3), "delays", example=parcels)
    client.ask(MoveAlias("model", "rates", "best", 2, "test"))
    client.ask(MoveAlias("model", "delays", "best", 1, "test"))
    return runs, model


def put(client, contents, **owner):
    files = [File(path, client.blobs.put(content), len(content)) for path, content in contents.items()]
    client.ask(PutFiles(files=files, **owner))


@pytest.fixture
def other(tmp_path, monkeypatch):
    """Another home; commands go there from now on."""
    placed = place_home(tmp_path / "other")

    def visit():
        monkeypatch.setenv("MAINSPRING_HOME", str(placed.root))
        return visitor

    visitor = Client(placed, start_owner)
    yield visit
    visitor.close()
    end_owner(placed)


def test_a_record_goes_to_a_folder_and_comes_back_whole(record, client, other, tmp_path):
    runs, model = record
    folder = tmp_path / "folder"
    with pytest.raises(AssertionError):  # it does not end by itself
        work("export", folder, MAINSPRING_CRASH=f"export.writing:3:{tmp_path}/killed")
    assert len(list(folder.glob("experiments/*/runs/*/run.json"))) == 2
    told = work("export", folder)
    counts = {name: told[name] for name in ("runs", "params", "points", "models", "registered", "versions", "known")}
    assert counts == {
        "runs": 3, "params": 3, "points": 36, "models": 1, "registered": 2, "versions": 3, "known": 2,
    }  # fmt: skip
    assert told["different"] == told["left_out"] == []
    stamps = {path: path.stat().st_mtime_ns for path in folder.rglob("run.json")}
    assert work("export", folder)["known"] == 7
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("run.json")} == stamps
    here = [client.ask(GetVersion("model", name)) for name in ("delays@best", "rates@best")]

    visitor = other()
    came = work("import", folder)
    assert came["here"] == came["there"]
    assert (came["here"]["runs"], came["here"]["points"], came["here"]["versions"]) == (3, 36, 3)
    assert (came["different"], came["left_out"], came["known"]) == ([], [], 0)
    check(visitor, runs, model, here)
    again = work("import", folder)
    assert (again["known"], again["here"]) == (7, came["here"])
    assert visitor.ask(GetModel(name="rates")).newest[-1].number == 2


def check(visitor, runs, model, versions):
    logged = visitor.ask(GetLoggedRun(run_id=runs[1]))
    assert (logged.run.name, logged.run.state, logged.run.params) == ("run 1", "failed", {"text": "ü; 'x'"})
    assert (logged.run.started_at, logged.run.ended_at) == (1_700_000_001.0, 1_700_000_100.0)
    values = [value for _, _, value in visitor.ask(GetSeries(run_id=runs[1], key="a/loss"))]
    assert values[1:4] == [math.inf, 0.1, 1e300]
    assert [each.path for each in visitor.ask(ListFiles(run_id=runs[2]))] == ["out/note.txt", "out/x y.bin"]
    assert visitor.ask(GetLoggedModel(model_id=model)).run_id == runs[0]
    for version in versions:
        found = visitor.ask(GetVersion("model", version.reference))
        assert (found.digest, found.manifest, found.aliases) == (version.digest, version.manifest, ("best",))
        for digest in found.manifest.values():
            assert visitor.blobs.get(digest)
    assert visitor.ask(GetVersion("model", "rates@1")).stage == "Production"
    delays = visitor.ask(GetVersion("model", "delays@best"))
    assert delays.details["trained_on"] == [], "names of another record are none of this one"
    assert [each["reference"] for each in delays.details["origin"]["datasets"]] == ["parcels@1"]


def test_what_a_folder_lies_about_is_refused_and_mended(record, client, other, tmp_path):
    runs, _ = record
    folder = tmp_path / "folder"
    work("export", folder)
    note = next(folder.glob(f"experiments/*/runs/{runs[0]}/artifacts/out/note.txt"))
    line = next(folder.glob(f"experiments/*/runs/{runs[1]}/run.json"))
    secret = tmp_path / "secret"
    secret.write_text("hello")
    note.write_bytes(b"hell")
    here = os.environ["MAINSPRING_HOME"]
    other()
    refused = work("import", folder, expect=2)["error"]
    assert refused["code"] == "IMPORT-008"
    assert "cut or changed: 4 bytes of another SHA-256, 5 were told" in refused["what"]
    note.unlink()
    note.symlink_to(secret)
    assert work("import", folder, expect=2)["error"]["code"] == "HOME-011", "a link out of the folder"
    told = json.loads(line.read_text())
    told["files"][0]["path"] = "../../../../../../secret"
    line.write_text(json.dumps(told))
    os.environ["MAINSPRING_HOME"] = here
    mended = work("export", folder)
    assert (mended["known"], mended["different"], mended["left_out"]) == (5, [], [])
    assert note.read_bytes() == b"hello"
    assert not note.is_symlink()
    assert secret.read_text() == "hello"
    other()
    assert work("import", folder)["different"] == []


def test_folders_that_are_none_are_refused(client, tmp_path):
    assert work("import", tmp_path / "none", expect=3)["error"]["code"] == "IMPORT-007"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    assert work("export", tmp_path / "full", expect=2)["error"]["code"] == "IMPORT-009"
    work("export", tmp_path / "new")
    (tmp_path / "new" / "mainspring-export.json").write_text('{"format": 7}')
    assert work("import", tmp_path / "new", expect=2)["error"]["code"] == "IMPORT-008"
    (tmp_path / "new" / "mainspring-export.json").write_text("{")
    assert work("import", tmp_path / "new", expect=2)["error"]["code"] == "IMPORT-008"
