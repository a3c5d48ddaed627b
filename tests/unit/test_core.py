"""The core without HTTP: batches, repeated ids, overload, canaries, swaps."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter

import msgspec
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mainspring.domain.errors import MainspringError
from mainspring.domain.records import Problem
from mainspring.models.package import build_package
from mainspring.models.signature import Column
from mainspring.serving.app import App
from mainspring.serving.captures import Captures
from mainspring.serving.core import Core
from mainspring.serving.files import CAPTURE, Limits, RevisionStatus
from mainspring.serving.loading import Loaded, load_revision
from support.serving import INPUTS, captured_ids, expect, make_body, make_desired, make_revision, save_model


@pytest.fixture
def files(tmp_path):
    return save_model(tmp_path / "model")


def make_core(folder, desired, **replace) -> Core:
    core = Core(Captures(folder / CAPTURE, "delays", desired.limits), desired)
    loaded = {each.number: load_revision(each) for each in desired.revisions}
    for number, slow in replace.items():
        loaded[int(number[1:])] = Loaded(desired.revisions[int(number[1:]) - 1], loaded[1].predictor, slow)
    core.adopt(desired, loaded)
    return core


async def gather(core, bodies):
    return await asyncio.gather(*(core.infer(body) for body in bodies), return_exceptions=True)


def read(reply) -> list[float]:
    return json.loads(reply)["outputs"][1]["data"]


@pytest.mark.parametrize("slow", [False, True])
def test_each_caller_gets_its_own_rows_and_only_the_guilty_fail(tmp_path, files, slow):
    random.seed(7)
    core = make_core(tmp_path, make_desired(files, limits=Limits(batch_rows=50)), r1=slow)
    asked = [(f"r{n}", random.randint(1, 9), random.uniform(-20, 20), n % 17 == 3) for n in range(120)]
    bodies = [make_body(name, rows=rows, wind=wind, code="x" if bad else "1") for name, rows, wind, bad in asked]
    replies = asyncio.run(gather(core, bodies))
    for (name, rows, wind, bad), reply in zip(asked, replies, strict=True):
        if bad:
            assert isinstance(reply, MainspringError)
            assert reply.code == "SERVE-010"
            assert "\n" not in reply.what
        else:
            assert json.loads(reply)["id"] == name
            assert read(reply) == pytest.approx([expect(wind, code="1")] * rows, abs=1e-6)
    good = [name for name, _, _, bad in asked if not bad]
    assert sorted(captured_ids(tmp_path)) == sorted(good)
    assert core.captures.requests == len(good)
    assert core.captures.rows == sum(rows for _, rows, _, bad in asked if not bad)
    assert core.report()[1].errors == len(asked) - len(good)
    core.close()


def test_what_arrives_during_a_run_is_the_next_batch(tmp_path, files):
    core = make_core(tmp_path, make_desired(files))
    asyncio.run(gather(core, [make_body(wind=float(n)) for n in range(64)]))
    assert core.lanes[1].batches == 1
    core.close()


def test_a_repeated_id_gets_the_first_answer_and_counts_once(tmp_path, files):
    core = make_core(tmp_path, make_desired(files), r1=True)
    body = make_body("a", rows=3)

    async def ask():
        first, twin = await asyncio.gather(core.infer(body), core.infer(body))
        return first, twin, await core.infer(body)

    replies = asyncio.run(ask())
    assert len(set(replies)) == 1
    assert (core.captures.requests, core.captures.rows) == (1, 3)
    core.close()
    again = make_core(tmp_path, make_desired(save_model(tmp_path / "other", scale=5.0)))
    assert asyncio.run(again.infer(body)) == replies[0]
    assert (again.captures.requests, again.captures.rows) == (1, 3)
    with pytest.raises(MainspringError, match="SERVE-013"):
        asyncio.run(again.infer(make_body("a", rows=2)))
    again.close()


def test_another_request_under_an_id_in_flight_is_refused(tmp_path, files):
    core = make_core(tmp_path, make_desired(files))
    first, second = asyncio.run(gather(core, [make_body("a", wind=1.0), make_body("a", wind=2.0)]))
    assert isinstance(first, bytes)
    assert isinstance(second, MainspringError)
    assert second.code == "SERVE-013"
    core.close()


def test_requests_without_an_id_are_all_counted(tmp_path, files):
    core = make_core(tmp_path, make_desired(files))
    replies = asyncio.run(gather(core, [make_body()] * 5))
    ids = {json.loads(reply)["id"] for reply in replies}
    assert len(ids) == 5
    assert set(captured_ids(tmp_path)) == ids
    core.close()


def test_overload_is_refused_and_the_admitted_are_answered(tmp_path):
    files = save_model(tmp_path / "slow", slow=300)
    limits = Limits(queue_rows=20, batch_rows=8)
    core = make_core(tmp_path, make_desired(files, limits=limits), r1=True)
    replies = asyncio.run(gather(core, [make_body(f"r{n}", rows=2) for n in range(60)]))
    kinds = Counter(reply.code if isinstance(reply, MainspringError) else "answered" for reply in replies)
    assert set(kinds) == {"answered", "SERVE-009"}
    assert core.shed == kinds["SERVE-009"] >= 40
    assert core.captures.requests == kinds["answered"] >= 10
    core.close()


def test_an_old_queue_takes_nothing_more(tmp_path, files):
    core = make_core(tmp_path, make_desired(files, limits=Limits(queue_age_s=0.0)))
    first, second = asyncio.run(gather(core, [make_body("a"), make_body("b")]))
    assert isinstance(first, bytes)
    assert second.code == "SERVE-009"
    core.close()


def test_what_cannot_be_captured_is_not_answered(tmp_path, files, monkeypatch):
    core = make_core(tmp_path, make_desired(files))

    def refuse(handle, content):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("mainspring.serving.captures.os.write", refuse)
        refused = asyncio.run(gather(core, [make_body("a"), make_body("b")]))
    assert [each.code for each in refused] == ["SERVE-014", "SERVE-014"]
    assert core.captures.requests == 0
    assert len(read(asyncio.run(core.infer(make_body("a"))))) == 1
    assert captured_ids(tmp_path) == ["a"]
    core.close()


def test_a_model_that_answers_no_number_leaves_a_status_that_can_be_read(tmp_path, files):
    core = make_core(tmp_path, make_desired(files))
    asyncio.run(gather(core, [make_body(wind=None, rows=2), make_body(wind=1.0), make_body(wind=1.0)]))
    status = msgspec.json.decode(msgspec.json.encode(core.report()[1]), type=RevisionStatus)
    moments = status.outputs["probability"]
    assert (moments.count, moments.unknown) == (2, 2)
    assert moments.mean == pytest.approx(expect(1.0), abs=1e-6)
    assert moments.sd == pytest.approx(0.0, abs=1e-6)
    core.close()


def test_one_chunk_without_a_length_is_no_way_around_the_limit(tmp_path, files):
    core = make_core(tmp_path, make_desired(files, limits=Limits(body_bytes=1000)))
    sent: list[dict] = []

    async def receive():
        return {"type": "http.request", "body": make_body(rows=100), "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v2/models/delays/infer", "headers": [(b"host", b"localhost")]}
    asyncio.run(App(core, 1)(scope, receive, send))
    assert sent[0]["status"] == 413
    assert core.captures.requests == 0
    core.close()


def test_wanted_outputs_only(tmp_path, files):
    core = make_core(tmp_path, make_desired(files))
    request = json.loads(make_body("a"))
    request["outputs"] = [{"name": "probability"}]
    reply = json.loads(asyncio.run(core.infer(json.dumps(request).encode())))
    assert [each["name"] for each in reply["outputs"]] == ["probability"]
    request |= {"id": "b", "outputs": [{"name": "odds"}]}
    with pytest.raises(MainspringError, match="'odds' is no output"):
        asyncio.run(core.infer(json.dumps(request).encode()))
    core.close()


def ask_versions(core, count=300, **fields):
    bodies = []
    for n in range(count):
        request = json.loads(make_body(f"r{n}"))
        bodies.append(json.dumps(request | fields).encode())
    return {json.loads(reply)["id"]: json.loads(reply)["model_version"] for reply in asyncio.run(gather(core, bodies))}


def test_a_canary_is_sticky_and_grows(tmp_path, files):
    def split(folder, weight, number):
        desired = make_desired(
            files,
            generation=number,
            revisions=[
                make_revision(1, files, weight=100 - weight),
                make_revision(2, files, weight=weight, state="canary"),
            ],
        )
        core = make_core(folder, desired)
        versions = ask_versions(core)
        assert core.report()[2].weight == weight
        core.close()
        return {name for name, version in versions.items() if version == "2"}

    ten, half, full = (split(tmp_path / str(weight), weight, weight) for weight in (10, 50, 100))
    assert ten < half < full
    assert 10 <= len(ten) <= 60
    assert 110 <= len(half) <= 190
    assert len(full) == 300


def test_a_key_decides_instead_of_the_id(tmp_path, files):
    revisions = [make_revision(1, files, weight=50), make_revision(2, files, weight=50, state="canary")]
    core = make_core(tmp_path, make_desired(files, revisions=revisions))
    assert len(set(ask_versions(core, parameters={"key": "one caller"}).values())) == 1
    core.close()


def test_a_named_revision_answers(tmp_path, files):
    revisions = [make_revision(1, files), make_revision(2, files, weight=0)]
    core = make_core(tmp_path, make_desired(files, revisions=revisions))
    assert json.loads(asyncio.run(core.infer(make_body("a"), 2)))["model_version"] == "2"
    with pytest.raises(MainspringError, match="revision 3 is not loaded"):
        asyncio.run(core.infer(make_body("b"), 3))
    core.close()


def test_a_revision_that_does_not_load_keeps_the_old_one(tmp_path, files):
    core = make_core(tmp_path, make_desired(files))
    wrong = make_revision(2, files | {"model.onnx": str(tmp_path / "gone")})
    desired = make_desired(files, generation=2, revisions=[make_revision(1, files, state="retired", weight=0), wrong])
    problem = load_revision(wrong)
    assert isinstance(problem, Problem)
    core.adopt(desired, {2: problem})
    assert json.loads(asyncio.run(core.infer(make_body("a"))))["model_version"] == "1"
    report = core.report()
    assert (report[1].state, report[1].weight) == ("ready", 100)
    assert report[2].state == "failed"
    assert "gone" in str(report[2].problem)
    core.close()


def test_a_model_that_fails_its_example_does_not_load(tmp_path, files):
    example = make_body(code="x", tensors={"flight_id": None, "event_time": None})
    (tmp_path / "model" / "example.json").write_bytes(example)
    problem = load_revision(make_revision(1, files))
    assert isinstance(problem, Problem)
    assert problem.code == "SERVE-018"


def test_a_model_without_onnx_answers_natively(tmp_path):
    rows = np.random.default_rng(5).normal(size=(200, 2)).astype(np.float32)
    model = LogisticRegression().fit(rows, rows[:, 0] > 0)
    files = {}
    for name, content in build_package(model, {"a": rows[:, 0], "b": rows[:, 1]}).files.items():
        (tmp_path / name).write_bytes(content)
        files[name] = str(tmp_path / name)
    del files["model.onnx"]
    core = make_core(tmp_path, make_desired(files, context=[]))
    tensors = [{"name": name, "datatype": "FP32", "shape": [4], "data": rows[:4, index].tolist()}
               for index, name in enumerate("ab")]  # fmt: skip
    reply = json.loads(asyncio.run(core.infer(json.dumps({"inputs": tensors}).encode())))
    assert reply["outputs"][1]["data"] == pytest.approx(model.predict_proba(rows[:4])[:, 1].tolist(), abs=1e-6)
    core.close()


def test_a_canary_with_other_inputs_is_refused_beside_the_live_one(tmp_path, files):
    wider = save_model(tmp_path / "wider", inputs=(*INPUTS[1:], Column("wind", "FP32")))
    revisions = [make_revision(1, files, weight=90), make_revision(2, wider, weight=10, state="canary")]
    core = make_core(tmp_path, make_desired(files, revisions=revisions))
    assert set(ask_versions(core, 100).values()) == {"1"}
    report = core.report()[2]
    assert (report.state, report.problem.code) == ("failed", "SERVE-019")
    core.close()


def test_no_revision_at_all(tmp_path, files):
    core = make_core(tmp_path, make_desired(files, revisions=[]))
    assert not core.ready
    with pytest.raises(MainspringError, match="service 'delays' has no loaded revision") as fault:
        asyncio.run(core.infer(make_body("a")))
    assert fault.value.code == "SERVE-003"
    core.close()


def test_waiting_requests_are_answered_by_the_revision_they_wait_for(tmp_path, files):
    core = make_core(tmp_path, make_desired(files), r1=True)

    async def swap():
        asked = asyncio.gather(*(core.infer(make_body(f"r{n}")) for n in range(20)))
        await asyncio.sleep(0)
        second = make_revision(2, files)
        core.adopt(make_desired(files, generation=2, revisions=[second]), {2: load_revision(second)})
        return [json.loads(reply)["model_version"] for reply in [*await asked, await core.infer(make_body("z"))]]

    assert asyncio.run(swap()) == ["1"] * 20 + ["2"]
    assert list(core.lanes) == [2]
    assert core.report()[1].requests == 20
    core.close()


def test_requests_wait_while_the_first_revision_loads(tmp_path, files):
    desired = make_desired(files)
    core = Core(Captures(tmp_path / CAPTURE, "delays"), desired)

    async def start():
        asked = asyncio.ensure_future(core.infer(make_body("a")))
        await asyncio.sleep(0.01)
        assert not asked.done()
        core.adopt(desired, {1: load_revision(desired.revisions[0])})
        return await asked

    assert json.loads(asyncio.run(start()))["id"] == "a"
    core.close()
