"""Blobs over HTTP: a digest that is known from elsewhere gives nothing, and names nothing."""

import hashlib
import os
from unittest import mock

import pytest
from tests.support.access import HOME_USER, Person
from tests.support.relays import Site

from mainspring.control.blobs import HELD_S, forget_uploads
from mainspring.domain import access, messages, records, transfers, upkeep
from mainspring.domain.errors import MainspringError
from mainspring.domain.tracking import Artifact
from mainspring.store.leftovers import find_leftovers

SECRET = b"what the other project has stored"
DIGEST = hashlib.sha256(SECRET).hexdigest()
NOWHERE = hashlib.sha256(b"never stored").hexdigest()


@pytest.fixture
def site(desk):
    return Site(desk)


@pytest.fixture
def anna(desk):
    """Has recorded a value, an artifact and a model of one blob each in the project `air`."""
    for name in ("air", "rail"):
        desk.ask(access.AddProject(name=name), actor=HOME_USER)
    person = Person(desk, "anna", "editor", project="air")
    finish(person, person.upload(SECRET))
    return person


@pytest.fixture
def ben(desk, anna):
    return Person(desk, "ben", "editor", project="rail")


def begin(person, name="fit"):
    return person.ask(messages.BeginRun(kind="step", name=name)).run


def finish(person, digest, parts=()):
    run = begin(person)
    value = records.Value("bytes", digest, 1, parts=parts)
    done = messages.FinishRun(run_id=run.id, attempt=1, fence=run.fence, state="succeeded", outputs=value)
    return person.ask(done)


def get(site, person, digest, verb="GET"):
    return site(verb, f"/api/v1/blobs/{digest}", person.token, params={"project": person.project})


def put(site, person, content, digest=None):
    path = f"/api/v1/blobs/{digest or hashlib.sha256(content).hexdigest()}"
    return site("PUT", path, person.token, params={"project": person.project}, content=content)


def test_a_foreign_digest_is_as_good_as_none(site, anna, ben):
    assert get(site, anna, DIGEST).content == SECRET
    assert get(site, anna, DIGEST, "HEAD").status_code == 200
    foreign, absent = get(site, ben, DIGEST), get(site, ben, NOWHERE)
    assert foreign.status_code == absent.status_code == 404
    assert foreign.text.replace(DIGEST, "") == absent.text.replace(NOWHERE, "")
    assert get(site, ben, DIGEST, "HEAD").headers == get(site, ben, NOWHERE, "HEAD").headers
    for digest in (DIGEST, NOWHERE):
        answer = site("POST", f"/api/v1/blobs/{digest}/hold", ben.token, params={"project": "rail"})
        assert answer.json() == {"known": False}
    assert ben.ask(transfers.HoldBlob(digest=DIGEST)).known is False
    with pytest.raises(MainspringError, match="AUTH-00"):
        ben.ask(transfers.NoteUpload(digest=DIGEST, size_bytes=1, holder="user:ben"))
    assert get(site, ben, DIGEST).status_code == 404


def name_in(person, digest):
    """Every command that names a blob."""
    run = begin(person)
    held = {"run_id": run.id, "attempt": 1, "fence": run.fence}
    artifact = Artifact("figure", 0, 1.0, records.Value("bytes", digest, 1))
    snapshot = {"files": {"flow.py": digest}, "entry": "flow:run", "python": ""}
    flow = {"folder": "", "triggers": []}
    spec = messages.RunSpec(kind="step", name="x", call=records.Call(payload=digest))
    return [
        messages.FinishRun(**held, state="succeeded", outputs=records.Value("bytes", digest, 1)),
        messages.FinishRun(
            **held, state="succeeded", outputs=records.Value("tuple", person.upload(b"[]"), 1, parts=(digest,))
        ),
        messages.Report(**held, offset=0, artifacts=[artifact]),
        messages.PutVersion(kind="model", name="mine", digest="m", manifest={"model.onnx": digest}),
        messages.SubmitRuns(runs=[spec]),
        messages.Apply(declarations=[records.Declaration("pipeline", "flow", {**flow, "snapshot": snapshot})]),
        transfers.WriteRows(name="mine", parts=(digest,), append=False, after="", digest="d", details={}),
    ]


@pytest.mark.usefixtures("open_home")
def test_nothing_names_a_blob_that_it_may_not_read(site, ben):
    for digest in (DIGEST, NOWHERE):
        for command in name_in(ben, digest):
            with pytest.raises(MainspringError) as caught:
                ben.ask(command)
            assert caught.value.code == "HOME-013", command
    assert get(site, ben, DIGEST).status_code == 404


def test_a_value_that_holds_the_digest_as_text_gives_nothing(site, ben):
    inside = b'{"parts": [{"codec": "bytes", "digest": "' + DIGEST.encode() + b'"}]}'
    digest = put(site, ben, inside).json()["digest"]
    finish(ben, digest)
    assert get(site, ben, digest).content == inside
    assert get(site, ben, DIGEST).status_code == 404


def test_an_upload_is_its_holders_until_something_names_it(site, desk, anna):
    colleague = Person(desk, "carl", "editor", project="air")
    digest = put(site, anna, b"a draft").json()["digest"]
    assert get(site, anna, digest).content == b"a draft"
    assert get(site, colleague, digest).status_code == 404
    run = finish(anna, digest)
    assert get(site, colleague, digest).content == b"a draft"
    assert run.outputs.parts == ()


def test_an_upload_that_nothing_names_is_kept_for_a_day(site, desk, anna):
    first, second = (put(site, anna, content).json()["digest"] for content in (b"first", b"second"))
    desk.clock.advance(HELD_S - 1)
    assert anna.ask(transfers.HoldBlob(digest=second)).known
    desk.call(forget_uploads)
    assert get(site, anna, first).status_code == 200
    desk.clock.advance(2)
    desk.call(forget_uploads)
    assert [get(site, anna, each).status_code for each in (first, second)] == [404, 200]


def test_what_named_it_is_deleted(site, desk, anna):
    digest = put(site, anna, b"weights").json()["digest"]
    anna.ask(messages.PutVersion(kind="model", name="delays", digest="m", manifest={"model.txt": digest}))
    reader = Person(desk, "carl", "viewer", project="air")
    assert get(site, reader, digest).content == b"weights"
    anna.ask(upkeep.DeleteModel(reference="delays@1"))
    assert get(site, reader, digest).status_code == 404


@pytest.mark.parametrize("content", [b"", b"ba", b"baz", b"bar bar"])
def test_an_upload_of_other_bytes_is_refused_and_unseen(site, desk, anna, content):
    digest = hashlib.sha256(b"bar").hexdigest()
    answer = put(site, anna, content, digest)
    assert (answer.status_code, answer.json()["code"]) == (400, "HOME-014")
    assert not desk.blobs.exists(digest)
    assert not desk.blobs.exists(hashlib.sha256(content).hexdigest())
    assert get(site, anna, digest).status_code == 404


def test_the_same_bytes_are_stored_once_and_mend_damaged_ones(site, desk, anna):
    digest = put(site, anna, b"value").json()["digest"]
    assert put(site, anna, b"value").json() == {"digest": digest, "size_bytes": 5}
    desk.blobs.path(digest).write_bytes(b"valu")
    answer = site("POST", f"/api/v1/blobs/{digest}/hold", anna.token, params={"project": "air"})
    assert answer.json() == {"known": False}
    assert put(site, anna, b"value").status_code == 200
    assert get(site, anna, digest).content == b"value"
    assert sum(1 for _ in desk.blobs.list()) == 2


@pytest.mark.parametrize("text", ["..", "%2e%2e", "A" * 64, "0" * 63, "..%2f..%2fetc%2fpasswd", "0" * 64 + "%00"])
def test_what_is_no_digest(site, anna, text):
    for verb in ("GET", "PUT", "POST"):
        path = f"/api/v1/blobs/{text}" + ("/hold" if verb == "POST" else "")
        assert site(verb, path, anna.token, params={"project": "air"}).status_code in {400, 404, 405}


def test_a_range_is_given(site, anna):
    path = f"/api/v1/blobs/{DIGEST}"
    answer = site("GET", path, anna.token, params={"project": "air"}, headers={"Range": "bytes=5-7"})
    assert (answer.status_code, answer.content) == (206, SECRET[5:8])


@pytest.mark.parametrize(
    "name",
    ["_writer.lock", "../home.json", "_delta_log/00000000000000000000.json", "other.parquet", "%2e%2e%2fx"],
)
def test_only_files_of_the_version_are_sent(site, desk, anna, name):
    folder = desk.home.tables / "orders@air"
    folder.mkdir(parents=True)
    for each in ("part.parquet", "other.parquet", "_writer.lock"):
        (folder / each).write_bytes(each.encode())
    manifest = {"table": "orders@air", "files": ["part.parquet", "_writer.lock"], "delta_version": 0}
    anna.ask(messages.PutVersion(kind="dataset", name="orders", digest="d", manifest=manifest))
    at = "/api/v1/datasets/orders@1/files"
    answer = site("GET", f"{at}/part.parquet", anna.token, params={"project": "air"})
    assert answer.content == b"part.parquet"
    assert answer.headers["mainspring-sha256"] == hashlib.sha256(b"part.parquet").hexdigest()
    assert site("GET", f"{at}/{name}", anna.token, params={"project": "air"}).status_code == 404


def test_a_sweep_keeps_what_is_held_for_somebody(site, desk, anna):
    digest = put(site, anna, b"held by nobody else").json()["digest"]
    os.utime(desk.blobs.path(digest), (1.0, 1.0))
    assert digest not in find_leftovers(desk.home, 3600.0).blobs
    swept = upkeep.SweepFiles(blobs=[digest], files=[], before=2.0, marked_at=0.0, numbers={})
    assert desk.ask(swept, actor=HOME_USER).blobs == 0, "the second look sees it too"
    desk.clock.advance(HELD_S + 1)
    desk.call(forget_uploads)
    assert digest in find_leftovers(desk.home, 3600.0).blobs
    assert desk.ask(swept, actor=HOME_USER).blobs == 1


def test_a_command_that_names_too_many(ben):
    digests = [ben.upload(b"%d" % number) for number in range(3)]
    with mock.patch("mainspring.control.blobs.MOST_NAMED", 2), pytest.raises(MainspringError, match="API-009"):
        finish(ben, digests[0], tuple(digests[1:]))
    assert finish(ben, digests[0], tuple(digests[1:])).state == "succeeded"


def test_a_hit_names_what_the_run_before_it_named(site, desk, anna):
    digest = anna.upload(b"a kept result")
    command = messages.BeginRun(kind="step", name="fit", key="k", cache=True)
    run = anna.ask(command).run
    value = records.Value("bytes", digest, 1)
    anna.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=run.fence, state="succeeded", outputs=value))
    assert anna.ask(command).hit
    desk.call(lambda turn: turn.connection.exec_driver_sql(f"DELETE FROM runs WHERE id = '{run.id}'"))
    reader = Person(desk, "carl", "viewer", project="air")
    assert get(site, reader, digest).content == b"a kept result"


def test_nobody_is_sent_to_the_store_for_what_is_not_theirs(site, desk, anna, ben, monkeypatch):
    monkeypatch.setattr(desk.blobs, "presign", lambda digest, seconds: f"https://store.example/{digest}?for={seconds}")
    path, direct = f"/api/v1/blobs/{DIGEST}", {"Mainspring-Direct": "1"}
    answer = site("GET", path, anna.token, params={"project": "air"}, headers=direct)
    assert (answer.status_code, answer.headers["location"]) == (307, f"https://store.example/{DIGEST}?for=60.0")
    assert site("GET", path, anna.token, params={"project": "air"}).content == SECRET
    for person in (ben, Person(desk, "nobody")):
        answer = site("GET", path, person.token, params={"project": person.project}, headers=direct)
        assert answer.status_code in {403, 404}
        assert "location" not in answer.headers
