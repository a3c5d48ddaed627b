"""Sinks in the record, on both kinds of database: what is refused, what waits, who is told what."""

import signal
import subprocess

import pytest
from tests.support.access import HOME_USER, Person

from mainspring.control import deliveries
from mainspring.control.sinks import MOST_SINKS
from mainspring.domain import access, messages, sinks
from mainspring.domain.errors import MainspringError

URL = "https://ops.example.org/hook"
LETTERS = {"url": "smtp://mail.example.org", "options": {"to": "a@example.org", "from": "b@example.org"}}

REFUSED = [
    ("webhook", {"url": ""}, "FETCH-005", "no scheme"),
    ("webhook", {"url": "ftp://ops.example.org"}, "FETCH-005", "ftp"),
    ("webhook", {"url": "https://me:canary@ops.example.org"}, "FETCH-005", "password"),
    ("webhook", {"url": "http://169.254.169.254/latest"}, "FETCH-001", "169.254.169.254"),
    ("webhook", {"url": "http://127.0.0.1:8080/"}, "FETCH-001", "this machine"),
    ("webhook", {"url": "http://[::ffff:10.0.0.1]/"}, "FETCH-001", "private"),
    ("webhook", {"url": URL, "secret": "missing"}, "SECRET-001", "missing"),
    ("webhook", {"url": URL, "options": {"colour": "red"}}, "SINK-003", "colour"),
    ("webhook", {"url": URL, "options": {"timeout_s": "0"}}, "SINK-003", "timeout_s='0'"),
    ("webhook", {"url": URL, "options": {"timeout_s": "nan"}}, "SINK-003", "timeout_s='nan'"),
    ("webhook", {"url": URL, "options": {"timeout_s": "soon"}}, "SINK-003", "'soon' is no number"),
    ("webhook", {"url": URL, "options": {"tries": "0.5"}}, "SINK-003", "tries='0.5'"),
    ("webhook", {"url": URL, "options": {"tries": "inf"}}, "SINK-003", "tries='inf'"),
    ("webhook", {"url": URL, "events": ["run.failed", "Run Failed"]}, "SINK-004", "Run Failed"),
    ("webhook", {"url": URL, "events": ["*.failed"]}, "SINK-004", "*.failed"),
    ("webhook", {"url": URL, "events": ["run.failed"] * 51}, "SINK-004", "51"),
    ("pager", {"url": URL}, "SINK-002", "pager"),
    ("", {"url": URL}, "SINK-002", "''"),
    ("slack", {"url": "https://hooks.slack.com/services/T/B/canary"}, "SINK-003", "secret"),
    ("alertmanager", {"url": URL, "options": {"hours": "-1"}}, "SINK-003", "hours='-1'"),
    ("alertmanager", {"url": "http://ops.example.org", "secret": "key"}, "FETCH-005", "http"),
    ("openlineage", {"url": "http://ops.example.org", "secret": "key"}, "FETCH-005", "http"),
    ("email", {"url": URL}, "FETCH-005", "https"),
    ("email", {**LETTERS, "options": {"from": "b@example.org"}}, "SINK-003", "1 to 20"),
    ("email", {**LETTERS, "options": {"to": "a@example.org"}}, "SINK-003", "''"),
    ("email", {**LETTERS, "options": {"to": "a@b\r\nBcc: c@d", "from": "b@c"}}, "SINK-003", "Bcc"),
    ("email", {**LETTERS, "secret": "key"}, "SINK-003", "go together"),
    ("email", {**LETTERS, "options": {**LETTERS["options"], "tls": "ssl"}}, "SINK-003", "tls='ssl'"),
]  # fmt: skip


@pytest.fixture
def team(desk):
    """An admin of a project that has one secret."""
    desk.ask(access.AddProject(name="air"), actor=HOME_USER)
    anna = Person(desk, "anna", "admin", project="air")
    anna.ask(access.AddSecret(name="key", value="canary-key"))
    return anna


@pytest.mark.parametrize(("kind", "fields", "code", "what"), REFUSED)
def test_what_could_never_be_sent_is_refused(team, kind, fields, code, what):
    with pytest.raises(MainspringError, match=code) as caught:
        team.ask(sinks.AddSink(name="ops", kind=kind, **fields))
    assert what in caught.value.what
    assert "canary" not in str(caught.value)
    assert team.ask(sinks.ListSinks()) == []


@pytest.mark.parametrize("name", ["", "7up", "a b", "a/b", "x" * 101, "é"])
def test_a_name_that_is_none_is_refused(team, name):
    with pytest.raises(MainspringError, match="SINK-004"):
        team.ask(sinks.AddSink(name=name, kind="webhook", url=URL))


def test_a_sink_is_added_changed_and_removed_and_each_is_audited(team, desk):
    made = team.ask(sinks.AddSink(name="ops", kind="webhook", url=URL, secret="key"))
    assert (made.kind, made.events, made.pending) == ("webhook", ("*",), 0)
    team.ask(messages.PutVersion(kind="model", name="m", digest="d", manifest={}))
    changed = team.ask(sinks.AddSink(name="ops", kind="webhook", url=f"{URL}/2", events=["model", "model"]))
    assert (changed.id, changed.position, changed.url) == (made.id, made.position, f"{URL}/2")
    assert (changed.events, changed.secret, changed.pending) == (("model",), None, 1)
    assert team.ask(sinks.RemoveSink(name="ops")).pending == 1
    with pytest.raises(MainspringError, match="SINK-001"):
        team.ask(sinks.GetSink(name="ops"))
    acts = [each.action for each in desk.ask(access.ListAudit(), actor=HOME_USER) if each.subject == "ops"]
    assert acts == ["sinks.write", "sinks.write", "sinks.remove"]


def test_a_project_has_a_bounded_number(team):
    for number in range(MOST_SINKS):
        team.ask(sinks.AddSink(name=f"s{number}", kind="webhook", url=URL))
    with pytest.raises(MainspringError, match="SINK-008"):
        team.ask(sinks.AddSink(name="more", kind="webhook", url=URL))
    team.ask(sinks.AddSink(name="s7", kind="webhook", url=URL, events=["model"]))


def test_nobody_else_is_handed_deliveries(team, desk):
    """Not even an admin of the home: with what is to be sent come secrets."""
    for token in ("", "0" * 64):
        for command in (
            sinks.TakeDeliveries(token=token),
            sinks.ReportDelivery(token=token, sink="x", event=1, after=0, answer=sinks.Answered("accepted", "")),
        ):
            with pytest.raises(MainspringError, match="SINK-005"):
                desk.ask(command, actor=HOME_USER)
    with pytest.raises(MainspringError, match=r"AUTH-005|AUTH-007"):
        team.ask(sinks.TakeDeliveries(token=""))


def test_a_test_that_nobody_sends_comes_to_an_end(team, desk):
    from mainspring.control.commits import Ask

    team.ask(sinks.AddSink(name="ops", kind="webhook", url=URL))
    ask = Ask(sinks.TestSink(name="ops"), HOME_USER, project="air")
    (outcome,), topics = desk.run([ask])
    assert "sinks" in topics
    assert outcome.wait_s > 60
    ask.expired = True
    (outcome,), _ = desk.run([ask])
    assert outcome.code == "SINK-007"


def test_what_waits_is_told_with_its_age(team, desk):
    team.ask(sinks.AddSink(name="ops", kind="webhook", url=URL, events=["model"]))
    began = desk.clock.now()
    for number in range(3):
        team.ask(messages.PutVersion(kind="model", name="m", digest=f"d{number}", manifest={}))
        desk.clock.advance(10.0)
    (lag,) = team.ask(messages.GetStatus()).sinks
    assert (lag.name, lag.pending, lag.waits_since) == ("ops", 3, began)


class Sent:
    """The courier's place, without a process: remembers what it was handed."""

    def __init__(self, monkeypatch, desk):
        self.courier = deliveries.open_courier(desk.home)
        monkeypatch.setattr(self.courier, "_start", lambda: None)
        self.courier._token = "t" * 64
        self.desk = desk

    def hand_out(self):
        self.desk.call(deliveries.hand_out)
        return self.desk.ask(sinks.TakeDeliveries(token=self.courier._token, wait_s=0.0))

    def report(self, delivery, at, outcome="accepted", after=None):
        event = delivery.events[at].seq
        before = delivery.events[at - 1].seq if at else delivery.after
        answer = sinks.Answered(outcome, "told")
        report = sinks.ReportDelivery(
            token=self.courier._token, sink=delivery.sink, event=event, after=before, answer=answer
        )
        return self.desk.ask(report).go_on


@pytest.fixture
def sent(monkeypatch, desk):
    yield Sent(monkeypatch, desk)
    deliveries.close_courier(desk.home)


def test_a_delivery_goes_on_only_as_the_record_says(team, sent, desk):
    team.ask(sinks.AddSink(name="ops", kind="webhook", url=URL, events=["model"]))
    for number in range(4):
        team.ask(messages.PutVersion(kind="model", name="m", digest=f"d{number}", manifest={}))
    (delivery,) = sent.hand_out()
    assert [event.subject for event in delivery.events] == ["m@1", "m@2", "m@3", "m@4"]
    assert sent.hand_out() == [], "a sink is handed out once"
    assert sent.report(delivery, 0)
    assert not sent.report(delivery, 0), "an event that is done with was reported again"
    (again,) = sent.hand_out()
    assert [event.subject for event in again.events] == ["m@2", "m@3", "m@4"]
    assert sent.report(again, 0)
    assert not sent.report(again, 1, "failed")
    assert sent.hand_out() == [], "it is tried again before its time"
    desk.clock.advance(1.0)
    (later,) = sent.hand_out()
    assert [event.subject for event in later.events] == ["m@3", "m@4"]
    team.ask(sinks.AddSink(name="ops", kind="webhook", url=f"{URL}/2", events=["model"]))
    desk.clock.advance(1.0)
    assert not sent.report(later, 0), "a sink that was changed goes on as it was"
    (changed,) = sent.hand_out()
    assert changed.url == f"{URL}/2"
    team.ask(sinks.RemoveSink(name="ops"))
    assert not sent.report(changed, 0)
    assert sent.hand_out() == []


def test_a_sink_that_hears_of_nothing_does_not_read_all_events_again(team, sent, desk, monkeypatch):
    monkeypatch.setattr(deliveries, "_FAR", 5)
    team.ask(sinks.AddSink(name="ops", kind="webhook", url=URL, events=["alarm.*"]))
    for number in range(10):
        team.ask(messages.PutVersion(kind="model", name="m", digest=f"d{number}", manifest={}))
    assert sent.hand_out() == []
    position = team.ask(sinks.GetSink(name="ops")).position
    assert position == desk.ask(messages.ListEvents(), project="air")[-1].seq


def test_a_courier_that_hangs_is_ended_and_its_sink_waits(team, sent, desk, monkeypatch):
    team.ask(sinks.AddSink(name="ops", kind="webhook", url=URL, events=["model"]))
    team.ask(messages.PutVersion(kind="model", name="m", digest="d", manifest={}))
    (delivery,) = sent.hand_out()
    process = sent.courier._process = subprocess.Popen(["sleep", "600"])
    monkeypatch.setattr(deliveries, "STUCK_S", -1.0)
    desk.call(deliveries.hand_out)
    assert process.returncode == -signal.SIGKILL
    sink = team.ask(sinks.GetSink(name="ops"))
    assert (sink.tries, sink.pending, sink.position) == (1, 1, delivery.after)
    assert sink.error == "the courier ended, or hung, while it sent this event"


def test_a_courier_that_dies_costs_a_pause_and_one_that_ends_costs_nothing(team, sent, desk):
    team.ask(sinks.AddSink(name="ops", kind="webhook", url=URL, events=["model"]))
    team.ask(messages.PutVersion(kind="model", name="m", digest="d", manifest={}))
    desk.call(deliveries.hand_out)
    assert len(sent.courier.outbox) == 1
    ended = sent.courier._process = subprocess.Popen(["true"])
    ended.wait()
    desk.call(deliveries.hand_out)
    assert len(sent.courier.outbox) == 1, "what was never taken is handed to the next"
    assert team.ask(sinks.GetSink(name="ops")).tries == 0
    sent.courier._token = "t" * 64
    assert len(sent.hand_out()) == 1
    ended = sent.courier._process = subprocess.Popen(["false"])
    ended.wait()
    desk.call(deliveries.hand_out)
    assert sent.courier.outbox == []
    assert team.ask(sinks.GetSink(name="ops")).tries == 1


def test_a_clock_that_goes_back_keeps_nothing_waiting(team, sent, desk):
    team.ask(sinks.AddSink(name="ops", kind="webhook", url=URL, events=["model"]))
    team.ask(messages.PutVersion(kind="model", name="m", digest="d", manifest={}))
    (delivery,) = sent.hand_out()
    sent.report(delivery, 0, "failed")
    assert sent.hand_out() == []
    desk.clock.time -= 86_400.0
    assert len(sent.hand_out()) == 1
