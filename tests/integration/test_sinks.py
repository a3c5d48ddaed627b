"""Sinks, from the event in the record to real receivers: in order, at least once, none slowed by another."""

import base64
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import time
from email import message_from_bytes
from email.policy import default

import pytest
from tests.support.receivers import DeafReceiver, SmtpReceiver, wait_for

from mainspring.domain import access, messages, sinks, upkeep
from mainspring.domain.errors import MainspringError
from mainspring.security.certificates import make_certificate

KEY = base64.b64encode(b"canary-4c11-key-of-a-webhook").decode()


@pytest.fixture
def certificate(home, tmp_path, monkeypatch):
    """A certificate of 127.0.0.1 that the owner's processes trust."""
    from mainspring.store.homes import make_folders

    make_folders(home)
    made = make_certificate(home, ["127.0.0.1"])
    monkeypatch.setenv("SSL_CERT_FILE", str(made[0]))
    return made


@pytest.fixture(autouse=True)
def private_hosts(monkeypatch):
    monkeypatch.setenv("MAINSPRING_PRIVATE_HOSTS", "127.0.0.1")


def make_event(client, number, state="failed"):
    """Have an event of a run that fails."""
    run = client.ask(messages.BeginRun(kind="step", name=f"fit{number}")).run
    client.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=run.fence, state=state))
    return run


def add(client, name, kind="webhook", **fields):
    return client.ask(sinks.AddSink(name=name, kind=kind, **fields))


def show(client, name):
    return client.ask(sinks.GetSink(name=name))


def names(receiver):
    return [heard.json["data"]["body"]["name"] for heard in receiver.heard]


def test_a_webhook_hears_of_events_in_order_and_signed(client, receive):
    receiver = receive()
    client.ask(access.AddSecret(name="hook", value=f"whsec_{KEY}"))
    make_event(client, "-before")
    made = add(client, "ops", url=f"{receiver.url}/hook?a=1", secret="hook", events=["run.failed"])
    runs = [make_event(client, number) for number in range(30)]
    wait_for(lambda: show(client, "ops").delivered == 30, "30 events")
    assert names(receiver) == [f"fit{number}" for number in range(30)]
    first = receiver.heard[0]
    assert first.path == "/hook?a=1"
    assert first.json["type"] == "run.failed"
    assert first.json["data"]["subject"] == runs[0].id
    identity, stamp = first.headers["webhook-id"], first.headers["webhook-timestamp"]
    assert identity == f"{made.id}-{first.json['data']['event']}"
    assert abs(int(stamp) - time.time()) < 600
    signed = hmac.new(base64.b64decode(KEY), f"{identity}.{stamp}.".encode() + first.body, hashlib.sha256).digest()
    assert first.headers["webhook-signature"] == f"v1,{base64.b64encode(signed).decode()}"
    assert len({heard.headers["webhook-id"] for heard in receiver.heard}) == 30
    state = show(client, "ops")
    assert (state.pending, state.tries, state.set_aside, state.error) == (0, 0, 0, "")


def test_patterns_choose_and_everything_else_stays_away(client, receive):
    receiver = receive()
    add(client, "ends", url=receiver.url, events=["run.*", "data"])
    add(client, "nothing", url=receiver.url, events=["running.*", "alarm.*"])
    make_event(client, 1, "succeeded")
    client.ask(messages.PutVersion(kind="dataset", name="orders", digest="d1", manifest={"table": "orders"}))
    client.ask(messages.PutVersion(kind="model", name="delays", digest="m1", manifest={}))
    make_event(client, 2, "cancelled")
    wait_for(lambda: show(client, "ends").delivered == 5, "5 events")
    assert [heard.json["type"] for heard in receiver.heard] == [
        "run.started",
        "run.succeeded",
        "data",
        "run.started",
        "run.cancelled",
    ]
    assert show(client, "nothing").delivered == 0


def test_a_hanging_and_a_dead_receiver_slow_neither_the_owner_nor_another_sink(client, receive):
    deaf, receiver, dead = receive(DeafReceiver), receive(), receive()
    dead.end()
    for name, place in (("deaf", deaf.place), ("dead", dead.place), ("well", receiver.place)):
        add(client, name, url=f"http://{place}", events=["run.failed"], options={"timeout_s": "2"})
    slowest_s = 0.0
    for number in range(20):
        begun = time.monotonic()
        make_event(client, number)
        slowest_s = max(slowest_s, time.monotonic() - begun)
    wait_for(lambda: show(client, "well").delivered == 20, "20 events at the one that is well")
    print(f"slowest event {slowest_s * 1000:.1f} ms")
    failing = wait_for(lambda: (found := show(client, "deaf")).tries and found, "the one that hangs")
    assert failing.error.startswith("FETCH-003: ")
    assert (failing.pending, failing.delivered) == (20, 0)
    assert show(client, "dead").error.startswith("FETCH-002: ")
    lags = {lag.name: lag for lag in client.ask(messages.GetStatus()).sinks}
    assert lags["dead"].pending == 20
    assert lags["dead"].tries >= 1
    assert lags["well"].pending == 0


def test_what_failed_is_tried_again_before_what_follows(client, receive):
    answers = iter([(503, "busy"), (429, "slowly", {"Retry-After": "1"}), (302, "", {"Location": "http://x.example/"})])
    receiver = receive(answer=lambda _: next(answers, (200, "ok")))
    add(client, "ops", url=receiver.url, events=["run.failed"])
    for number in range(3):
        make_event(client, number)
    wait_for(lambda: show(client, "ops").delivered == 3, "3 events")
    assert names(receiver) == ["fit0"] * 4 + ["fit1", "fit2"]
    state = show(client, "ops")
    assert (state.tries, state.set_aside) == (0, 0)
    assert "redirects are not followed" in state.error


def test_poison_is_set_aside_and_shown_and_the_rest_goes_on(client, receive):
    def answer(heard):
        return (422, "no such field") if heard.json["data"]["body"]["name"] == "fit1" else (200, "ok")

    receiver = receive(answer=answer)
    add(client, "ops", url=receiver.url, events=["run.failed"], options={"tries": "2"})
    poison = [make_event(client, number) for number in range(3)][1]
    wait_for(lambda: show(client, "ops").delivered == 2, "the other two")
    assert names(receiver) == ["fit0", "fit1", "fit1", "fit2"]
    state = show(client, "ops")
    assert (state.set_aside, state.tries) == (1, 0)
    (held,) = state.held_back
    assert (held.subject, held.kind, held.tries) == (poison.id, "run.failed", 2)
    assert held.error == "422 Unprocessable Entity: no such field"


def test_what_was_set_aside_is_sent_once_more_when_asked(client, receive):
    broken = {"fit0", "fit1", "fit2"}

    def answer(heard):
        return (422, "no such field") if heard.json["data"]["body"]["name"] in broken else (200, "ok")

    receiver = receive(answer=answer)
    add(client, "ops", url=receiver.url, events=["run.failed"], options={"tries": "1"})
    for number in range(4):
        make_event(client, number)
    wait_for(lambda: show(client, "ops").delivered == 1, "the last one")
    third, second, first = (held.event for held in show(client, "ops").held_back)
    with pytest.raises(MainspringError) as caught:
        client.ask(sinks.ResendEvents(name="ops", events=[first, 10**6]))
    assert (caught.value.code, "1 of 2 events are not set aside" in caught.value.what) == ("SINK-009", True)
    assert not any(held.again_at for held in show(client, "ops").held_back)  # a refused ask changes nothing

    broken.discard("fit0")
    client.ask(sinks.ResendEvents(name="ops", events=[first]))
    wait_for(lambda: show(client, "ops").delivered == 2, "the first event")
    assert [held.event for held in show(client, "ops").held_back] == [third, second]

    broken.discard("fit2")
    client.ask(sinks.ResendEvents(name="ops"))
    wait_for(lambda: show(client, "ops").delivered == 3, "the third event")
    state = show(client, "ops")
    (held,) = state.held_back
    assert (held.event, held.tries, held.again_at) == (second, 2, None)
    assert (state.set_aside, state.tries, state.pending) == (1, 0, 0)
    assert names(receiver) == ["fit0", "fit1", "fit2", "fit3", "fit0", "fit1", "fit2"]
    make_event(client, 5)
    wait_for(lambda: names(receiver)[-1] == "fit5", "what comes later")


def test_what_is_sent_once_more_waits_for_its_receiver_as_the_others(client, receive):
    answers = iter([(422, "no"), (503, "busy"), (503, "busy")])
    receiver = receive(answer=lambda _: next(answers, (200, "ok")))
    add(client, "ops", url=receiver.url, events=["run.failed"], options={"tries": "1"})
    make_event(client, 0)
    wait_for(lambda: show(client, "ops").set_aside, "the event")
    client.ask(sinks.ResendEvents(name="ops"))
    make_event(client, 1)
    wait_for(lambda: show(client, "ops").delivered == 2, "both events")
    assert names(receiver) == ["fit0"] * 4 + ["fit1"]
    assert show(client, "ops").held_back == []


def test_an_address_that_is_gone_sets_nothing_aside(client, receive):
    receiver = receive(answer=lambda _: (404, "no such hook"))
    add(client, "ops", url=receiver.url, events=["run.failed"], options={"tries": "1"})
    make_event(client, 0)
    wait_for(lambda: show(client, "ops").tries >= 2, "two tries")
    assert show(client, "ops").set_aside == 0
    receiver.answer = lambda _: (200, "ok")
    wait_for(lambda: show(client, "ops").delivered == 1, "the event")


def test_a_test_tells_what_the_receiver_answered(client, receive):
    receiver = receive(answer=lambda _: (418, "I am a teapot"))
    add(client, "ops", url=receiver.url)
    answer = client.ask(sinks.TestSink(name="ops"))
    assert (answer.outcome, answer.text) == ("refused", "418 I'm a Teapot: I am a teapot")
    assert receiver.heard[0].json["type"] == "test"
    receiver.answer = lambda _: (204, "")
    assert client.ask(sinks.TestSink(name="ops")).outcome == "accepted"
    state = show(client, "ops")
    assert (state.tries, state.set_aside, state.delivered) == (0, 0, 0)
    assert len({heard.headers["webhook-id"] for heard in receiver.heard}) == 2


@pytest.mark.parametrize("host", ["localhost", "2130706433", "127.1"])
def test_a_name_that_leads_inside_is_refused_when_it_is_sent_to(client, receive, monkeypatch, host):
    receiver = receive()
    monkeypatch.delenv("MAINSPRING_PRIVATE_HOSTS")
    port = receiver.place.rpartition(":")[2]
    add(client, "ops", url=f"http://{host}:{port}/latest", events=["run.failed"])
    answer = client.ask(sinks.TestSink(name="ops"))
    assert answer.outcome == "failed"
    assert answer.text == f"FETCH-001: {host}:{port} is at 127.0.0.1, which is this machine"
    make_event(client, 1)
    failing = wait_for(lambda: (found := show(client, "ops")).tries and found, "a failure")
    assert (failing.pending, failing.set_aside, receiver.heard) == (1, 0, [])


def test_status_and_doctor_name_a_sink_that_lags(client, receive):
    receiver = receive(answer=lambda _: (500, "out of order"))
    add(client, "ops", url=receiver.url, events=["run.failed"])
    make_event(client, 1)
    wait_for(lambda: show(client, "ops").tries, "a failure")

    def call(verb):
        words = [sys.executable, "-m", "mainspring", verb]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=100).stdout

    assert re.search(r"ops  webhook  1 pending, failed \d+ times", call("status"))
    assert re.search(r"sinks\twarn\tops: 1 pending, failed \d+ times\tmainspring sinks show ops", call("doctor"))


def test_a_sink_that_hangs_answers_its_test_in_time(client, receive):
    dripping = receive(DeafReceiver, drip=b"H")
    add(client, "ops", url=f"http://{dripping.place}", options={"timeout_s": "1"})
    answer = client.ask(sinks.TestSink(name="ops"))
    assert answer.outcome == "failed"
    assert answer.text == f"FETCH-003: {dripping.place} took more than 1 s"


def test_a_secret_that_is_gone_keeps_the_events_until_it_is_back(client, receive):
    receiver = receive()
    with pytest.raises(MainspringError, match="SECRET-001"):
        add(client, "ops", url=receiver.url, secret="hook")
    client.ask(access.AddSecret(name="hook", value="a plain key"))
    add(client, "ops", url=receiver.url, secret="hook", events=["run.failed"])
    client.ask(access.RemoveSecret(name="hook"))
    make_event(client, 0)
    wait_for(lambda: show(client, "ops").tries, "a failure")
    assert show(client, "ops").error == "SECRET-001: project 'default' has no secret 'hook'"
    with pytest.raises(MainspringError, match="SECRET-001"):
        client.ask(sinks.TestSink(name="ops"))
    client.ask(access.AddSecret(name="hook", value="a plain key"))
    wait_for(lambda: show(client, "ops").delivered == 1, "the event")
    assert receiver.heard[0].headers["webhook-signature"].startswith("v1,")


def test_slack_has_its_address_as_a_secret_and_shows_it_nowhere(client, receive, home, certificate):
    receiver = receive(certificate=certificate, answer=lambda heard: (200, f"ok {heard.path}"))
    canary = "/services/T0/B0/canary8812xyz"
    client.ask(access.AddSecret(name="slack", value=f"{receiver.url}{canary}"))
    add(client, "chat", kind="slack", secret="slack", events=["run.failed"])
    answer = client.ask(sinks.TestSink(name="chat"))
    assert (answer.outcome, answer.text) == ("accepted", "200 OK: ok ***")
    make_event(client, "<!channel>")
    wait_for(lambda: show(client, "chat").delivered, "a message")
    assert receiver.heard[-1].path == canary
    assert "&lt;!channel&gt;" in receiver.heard[-1].json["text"]
    receiver.end()
    make_event(client, 2)
    wait_for(lambda: show(client, "chat").tries, "a failure")
    told = [client.ask(sinks.ListSinks()), client.ask(access.ListAudit()), client.ask(messages.ListEvents())]
    assert "canary8812" not in repr(told)
    held = [path for path in home.root.rglob("*") if path.is_file() and b"canary8812" in path.read_bytes()]
    assert held == []


def test_a_letter_goes_by_starttls_with_a_password(client, receive, home, certificate):
    receiver = receive(SmtpReceiver, certificate=certificate)
    client.ask(access.AddSecret(name="mail", value="canary-pass"))
    options = {"to": "ops@example.org, eve@example.org", "from": "ms@example.org", "user": "ms"}
    add(client, "post", kind="email", url=f"smtp://{receiver.place}", secret="mail", options=options)
    assert client.ask(sinks.TestSink(name="post")).text == "250 taken as 42"
    client.ask(sinks.AddSink(name="post", kind="email", url=f"smtp://{receiver.place}", secret="mail", options=options))
    run = make_event(client, "\r\nBcc: all@example.org")
    wait_for(lambda: show(client, "post").delivered, "a letter")
    letter = message_from_bytes(receiver.letters[-1], policy=default)
    assert letter["To"] == "ops@example.org, eve@example.org"
    assert letter["Bcc"] is None
    assert letter["Subject"].startswith(f"mainspring: run.failed fit Bcc: all@example.org {run.id}")
    assert run.id in letter.get_content()
    said = receiver.said
    assert said.index("STARTTLS") < next(place for place, line in enumerate(said) if line.startswith("AUTH"))
    assert [path for path in home.root.rglob("*") if path.is_file() and b"canary-pass" in path.read_bytes()] == []
    assert f"AUTH PLAIN {base64.b64encode(bytes(1) + b'ms' + bytes(1) + b'canary-pass').decode()}" in said


@pytest.mark.parametrize(
    ("refuse", "outcome", "text"),
    [
        ({"LETTER": "554 no thanks"}, "refused", "554 no thanks"),
        ({"LETTER": "451 later"}, "failed", "451 later"),
        ({"RCPT": "550 no such box"}, "failed", "550 no such box"),
        ({"STARTTLS": "502 never heard of it"}, "failed", "502 never heard of it"),
    ],
)
def test_a_mail_server_that_refuses_is_told_apart(client, receive, certificate, refuse, outcome, text):
    receiver = receive(SmtpReceiver, certificate=certificate, refuse=refuse)
    options = {"to": "ops@example.org", "from": "ms@example.org"}
    add(client, "post", kind="email", url=f"smtp://{receiver.place}", options=options)
    answer = client.ask(sinks.TestSink(name="post"))
    assert (answer.outcome, answer.text) == (outcome, text)


def test_alertmanager_is_told_of_alerts(client, receive):
    receiver = receive()
    add(client, "alerts", kind="alertmanager", url=receiver.url, options={"severity": "page", "hours": "2"})
    run = make_event(client, 1)
    wait_for(lambda: show(client, "alerts").delivered, "an alert")
    (heard,) = receiver.heard
    assert heard.path == "/api/v2/alerts"
    (alert,) = heard.json
    assert alert["labels"] == {
        "alertname": "run.failed", "job": "mainspring", "project": "default", "subject": "fit1", "severity": "page",
    }  # fmt: skip
    assert run.id in alert["annotations"]["summary"]
    assert alert["startsAt"] < alert["endsAt"]


def test_openlineage_is_told_of_runs_and_what_they_read_and_wrote(client, receive):
    receiver = receive()
    add(client, "lineage", kind="openlineage", url=receiver.url)
    raw = client.ask(messages.PutVersion(kind="dataset", name="raw", digest="r1", manifest={"table": "raw"}))
    top = client.ask(messages.BeginRun(kind="pipeline", name="train")).run
    step = client.ask(messages.BeginRun(kind="step", name="clean", parent_id=top.id)).run
    client.ask(messages.GetVersion(kind="dataset", reference="raw@1", run_id=step.id))
    manifest = {"table": "clean"}
    made = {"kind": "dataset", "name": "clean", "digest": "c1", "manifest": manifest, "inputs": (raw.id,)}
    client.ask(messages.PutVersion(**made, run_id=step.id))
    client.ask(messages.PutVersion(kind="model", name="delays", digest="m1", manifest={}, run_id=top.id))
    for run in (step, top):
        client.ask(messages.FinishRun(run_id=run.id, attempt=1, fence=run.fence, state="succeeded"))
    wait_for(lambda: show(client, "lineage").delivered == 5, "5 events")
    bodies = [heard.json for heard in receiver.heard]
    assert {heard.path for heard in receiver.heard} == {"/api/v1/lineage"}
    assert bodies[0]["dataset"]["name"] == "raw"
    assert [body.get("eventType") for body in bodies] == [None, "START", "RUNNING", "RUNNING", "COMPLETE"]
    assert {body["run"]["runId"].replace("-", "") for body in bodies[1:]} == {top.id}
    assert {body["job"]["name"] for body in bodies[1:]} == {"pipeline.train"}
    assert bodies[2]["outputs"][0]["name"] == "clean"
    assert bodies[3]["outputs"][0]["name"] == "models/delays"
    (read,) = bodies[4]["inputs"]
    assert (read["namespace"], read["name"]) == ("mainspring://default", "raw")
    assert read["facets"]["version"]["datasetVersion"] == "1"


def test_openlineage_passes_over_runs_that_were_deleted(client, receive):
    receiver = receive()
    receiver.gate.clear()
    add(client, "lineage", kind="openlineage", url=receiver.url)
    first = make_event(client, "-first", "succeeded")
    wait_for(lambda: receiver.heard, "the start of the first")
    second = make_event(client, "-second", "succeeded")
    client.ask(messages.PutVersion(kind="model", name="m", digest="d", manifest={}))
    client.ask(upkeep.DeleteRuns(ids=[second.id]))
    receiver.gate.set()
    wait_for(lambda: show(client, "lineage").delivered == 5, "5 events")
    told = [heard.json for heard in receiver.heard]
    assert [each["run"]["runId"].replace("-", "") for each in told[:2]] == [first.id, first.id]
    assert [each.get("eventType") for each in told] == ["START", "COMPLETE", None]


def test_an_event_is_for_its_project_only_and_a_removed_project_has_no_sinks(client, receive):
    receiver = receive()
    client.ask(access.AddProject(name="rail"))
    client.ask(sinks.AddSink(name="ops", kind="webhook", url=receiver.url), project="rail")
    make_event(client, "-elsewhere")
    with pytest.raises(MainspringError, match="AUTH-013") as caught:
        client.ask(access.RemoveProject(name="rail"))
    assert "sinks" in caught.value.what
    client.ask(sinks.RemoveSink(name="ops"), project="rail")
    client.ask(access.RemoveProject(name="rail"))
    for command in (sinks.ListSinks(), sinks.AddSink(name="ops", kind="webhook", url=receiver.url)):
        with pytest.raises(MainspringError, match="AUTH-009"):
            client.ask(command, project="rail")
    assert receiver.heard == []


PAGER = """
from mainspring.domain.sinks import Answered

class Pager:
    events, options = ("run.failed",), ()

    def check(self, url, *, secret, options):
        pass

    def send(self, delivery, event, now, ask):
        if event.body["name"] == "fit1":
            raise ValueError("no words for fit1")
        print("paged", event.body["name"], flush=True)
        return Answered("accepted", f"beep {event.body['name']}")
"""


def test_a_kind_installed_besides_is_found_and_an_event_it_cannot_tell_blocks_nothing(
    client, home, tmp_path, monkeypatch
):
    folder = tmp_path / "installed"
    (folder / "pager-1.0.dist-info").mkdir(parents=True)
    (folder / "pager.py").write_text(PAGER)
    (folder / "pager-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: pager\nVersion: 1.0\n")
    (folder / "pager-1.0.dist-info" / "entry_points.txt").write_text("[mainspring.sinks]\npager = pager:Pager\n")
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    made = add(client, "beeper", kind="pager", options={"tries": "1"})
    assert made.events == ("run.failed",)
    for number in range(3):
        make_event(client, number)
    wait_for(lambda: show(client, "beeper").delivered == 2, "two events")
    (held,) = show(client, "beeper").held_back
    assert held.error == "pager cannot tell it: ValueError: no words for fit1"
    told = (home.logs / "courier.log").read_text()
    assert [line for line in told.splitlines() if line.startswith("paged")] == ["paged fit0", "paged fit2"]


def test_the_verbs_from_adding_to_removing(client, receive, monkeypatch):
    receiver = receive()

    def call(*words, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "mainspring", "sinks", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    assert "no sinks" in call()
    added = call(
        "add", "ops", "--kind", "webhook", "--url", receiver.url, "--events", "run.failed, alarm.*", "--set", "tries=3"
    )
    assert "run.failed, alarm.*" in added
    assert call("test", "ops") == "accepted: 200 OK: thank you\n"
    make_event(client, 1)
    wait_for(lambda: show(client, "ops").delivered, "an event")
    assert "ops\twebhook\t1\t0\t0\tok" in call()
    assert json.loads(call("show", "ops", "--json"))["delivered"] == 1
    receiver.answer = lambda _: (500, "out of order")
    failed = call("test", "ops", code=1)
    assert failed.startswith("failed: 500 Internal Server Error: out of order\n")
    assert "SINK-006" in failed
    assert "SINK-002: no sink is of kind 'pager'; there are alertmanager" in call("add", "x", "--kind", "pager", code=2)
    assert "CLI-001" in call("add", "x", "--kind", "webhook", "--set", "tries", code=2)
    assert "SINK-009" in call("resend", "ops", code=3)
    assert call("remove", "ops").startswith("sink")
    assert "SINK-001" in call("show", "ops", code=3)
