"""Services from Python: deploy, predict, canary, roll back, restart; with a real owner and plane."""

from __future__ import annotations

import gc
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

import mainspring as ms
from mainspring.domain.errors import Conflict, Failed, Invalid, MainspringError, NotFound, Unavailable
from mainspring.domain.messages import (
    Deploy,
    ListServices,
    MoveAlias,
    PutVersion,
    RunSpec,
    StopService,
    SubmitRuns,
    WaitRuns,
)
from mainspring.domain.records import Call
from mainspring.sdk.inference import read_columns
from mainspring.sdk.monitors import Monitor
from mainspring.serving.files import find_plane
from support.serving import captured_ids, expect, save_model

ROW = {"wind": 3.0, "hour": 6, "code": "0", "flight_id": "f1", "event_time": datetime(2013, 3, 1, 5, tzinfo=UTC)}


WATCH = Monitor(key="flight_id", event_time="event_time")


@pytest.fixture
def register(client, tmp_path, monkeypatch):
    """Put a small model under a name; everything that was started ends with the test."""
    monkeypatch.setattr("mainspring.sdk.services.current_client", lambda: client)
    monkeypatch.setenv("MAINSPRING_PROGRESS", "0")

    def put(name="late", **options):
        files = save_model(tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}", **options)
        manifest = {each: client.blobs.put(Path(path).read_bytes()) for each, path in files.items()}
        return client.ask(PutVersion("model", name, digest=str(hash(str(manifest))), manifest=manifest))

    yield put
    for service in client.ask(ListServices()):
        client.ask(StopService(service.name))
    folders = list(client.home.services.iterdir()) if client.home.services.exists() else []
    wait_for(lambda: not any(find_plane(folder) for folder in folders))


def wait_for(condition, timeout_s=30.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_deploy_predict_canary_roll_back_stop(register, client):
    first = register()
    service = ms.deploy("delays", first.reference, monitor=WATCH)
    assert service.state == "ready"
    assert service.url.startswith("http://127.0.0.1:")
    assert service.record.pid != os.getpid()
    answer = service.predict(ROW, id="one")
    assert (answer.id, answer.revision, answer.model) == ("one", 1, "late@1")
    assert answer["probability"] == pytest.approx([expect(3.0)], abs=1e-6)
    frame = pl.DataFrame([ROW | {"wind": float(n), "flight_id": f"f{n}"} for n in range(32)])
    batch = service.predict(frame, id="batch")
    assert batch["probability"] == pytest.approx([expect(float(n)) for n in range(32)], abs=1e-6)
    assert service.predict(frame, id="batch") == batch
    wait_for(lambda: service.statistics["rows"] == 33)
    assert service.statistics["requests"] == 2

    assert ms.deploy("delays", first.reference, monitor=WATCH).record.generation == service.record.generation
    second = register(scale=0.5)
    ms.deploy("delays", second.reference, monitor=WATCH)
    assert [each.state for each in service.record.revisions] == ["live", "canary"]
    asked = 0
    while service.record.revisions[1].state == "canary":
        asked += 1
        service.predict(ROW, id=f"c{asked}")
        assert asked < 3000
    assert [(each.state, each.weight) for each in service.record.revisions] == [("retired", 0), ("live", 100)]
    wait_for(lambda: service.predict(ROW).revision == 2)
    service.rollback("worse")
    # The plane may not yet have been told of what came before, and then both answer.
    wait_for(lambda: {service.predict(ROW).model for _ in range(50)} == {"late@1"})
    scalars = {**ROW, "wind": np.float32(3.0), "hour": np.int64(6)}
    assert service.predict([scalars])["probability"] == answer["probability"]
    with pytest.raises(Invalid, match="SERVE-023: complex 1j is no value"):
        service.predict({**ROW, "wind": 1j})
    service.stop()
    wait_for(lambda: service.state == "stopped")
    service._endpoint.close()
    with pytest.raises(Conflict, match="SERVE-022"):
        service.predict(ROW)
    assert len(captured_ids(client.home.services / "delays")) == service.statistics["requests"]
    why = ms.why("batch")
    assert why.lines[0].startswith("prediction batch of service delays: 32 rows at 20")
    assert why.lines[1:3] == ["answered by r1, late@1", "late@1 is model late@1"]
    assert (why.data["model"], why.data["revision"]) == ("late@1", 1)
    with pytest.raises(NotFound, match="HOME-010: nothing is called 'batc'"):
        ms.why("batc")


def test_a_handle_that_is_let_go_closes_its_sockets_at_once(register):
    service = ms.deploy("delays", register().reference, monitor=WATCH)
    service.predict(ROW)
    ((_, connection),) = service._endpoint._idle
    gc.disable()
    try:
        del service
        assert connection.sock is None
    finally:
        gc.enable()


def test_what_hinders_the_process_is_told(register, client):
    folder = client.home.services / "delays"
    folder.mkdir(parents=True)
    (folder / "capture").touch()
    client.ask(Deploy("delays", register().reference, "canary"))
    service = ms.Service("delays")
    wait_for(lambda: service.record.problem is not None)
    with pytest.raises(Unavailable, match=r"SERVE-020: service delays is .* after 0 s: the captures in .* be written"):
        service.wait_ready(timeout_s=0)


def test_a_killed_plane_is_started_again_and_the_same_id_answers(register, client):
    service = ms.deploy("delays", register().reference, monitor=WATCH)
    before = service.predict(ROW, id="kept")
    pid, url = service.record.pid, service.url
    os.kill(pid, signal.SIGKILL)
    assert service.predict(ROW, id="kept") == before
    assert service.predict(ROW, id="new")["label"] == before["label"]
    assert service.record.pid != pid
    assert service.url == url
    wait_for(lambda: service.statistics["requests"] == 2)


def test_a_worker_collects_what_was_answered(register, client):
    service = ms.deploy("delays", register().reference, monitor=WATCH)
    service.predict(pl.DataFrame([ROW | {"flight_id": f"f{n}"} for n in range(5)]), id="batch")
    call = Call(job="collect", arguments={"service": "delays"})
    (run,) = client.ask(SubmitRuns([RunSpec(kind="collect", name="delays", call=call)]))
    (run,) = client.ask(WaitRuns([run.id], wait_s=60.0))
    assert (run.state, run.details["rows"]) == ("succeeded", 5), run.problem
    rows = ms.Dataset("delays.requests").polars()
    assert rows["request_id"].to_list() == ["batch"] * 5
    assert rows["flight_id"].to_list() == [f"f{n}" for n in range(5)]
    assert rows["event_time"][0].startswith("2013-03-01T05:00:00")


def test_it_answers_while_the_owner_is_gone(register, client):
    service = ms.deploy("delays", register().reference, monitor=WATCH)
    service.predict(ROW)
    os.kill(int(client.home.lock.read_text()), signal.SIGKILL)
    assert service.predict(ROW)["label"] == [1]


def test_errors_of_the_server_arrive_as_errors(register, client):
    service = ms.deploy("delays", register().reference, monitor=WATCH)
    for change, code in (
        ({"wind": "fast"}, "SERVE-006"),
        ({"speed": 1.0}, "SERVE-005"),
        ({"wind": [1.0, 2.0]}, "SERVE-007"),
    ):
        with pytest.raises(Invalid) as fault:
            service.predict(ROW | change)
        assert fault.value.code == code
    with pytest.raises(Invalid, match="input 'wind' is missing"):
        service.predict({name: value for name, value in ROW.items() if name != "wind"})
    with pytest.raises(Failed, match="SERVE-010"):
        service.predict(ROW | {"code": "x"})
    service.predict(ROW, id="a")
    with pytest.raises(Conflict, match="SERVE-013"):
        service.predict(ROW | {"wind": 9.0}, id="a")


def test_nothing_promoted_nothing_deployed_and_a_broken_model(register, client):
    version = register()
    with pytest.raises(Invalid) as fault:
        ms.deploy("delays", "late@champion")
    assert (fault.value.code, fault.value.what) == ("SERVE-041", "late has no champion")
    with pytest.raises(NotFound, match="SERVE-001"):
        ms.Service("nothing").predict(ROW)
    with pytest.raises(Invalid, match="SERVE-024"):
        ms.deploy("delays", version.reference, rollout="blue-green")
    blob = client.blobs.put(b"no model at all")
    wrong = client.ask(PutVersion("model", "wrong", digest="w", manifest={**version.manifest, "model.onnx": blob}))
    with pytest.raises(MainspringError) as fault:
        ms.deploy("broken", wrong.reference)
    assert fault.value.code == "MODEL-010"
    client.ask(MoveAlias("model", "late", "stage", 1))
    assert ms.deploy("delays", "late@stage").predict({k: ROW[k] for k in ("wind", "hour", "code")})["label"] == [1]


def test_rows_of_many_forms():
    want = {"a": [1, 2], "b": ["x", None]}
    frame = pl.DataFrame(want)
    assert read_columns(frame) == want
    assert read_columns(want) == want
    assert read_columns({"a": frame["a"].to_numpy(), "b": frame["b"]}) == want
    assert read_columns(frame.to_dicts()) == want
    assert msgspec.json.encode(read_columns({"a": [float("nan")]})) == b'{"a":[null]}'
    with pytest.raises(Invalid, match="SERVE-023"):
        read_columns(3)
