"""Hooks: who may start a pipeline from outside, how often, and what is made of what they send."""

import hashlib
import hmac

import pytest
from tests.support.access import HOME_USER
from tests.support.relays import Site

from mainspring.api import hooks
from mainspring.domain import access, messages, triggers
from mainspring.domain.errors import Invalid
from mainspring.domain.records import Declaration
from mainspring.domain.triggers import MOST_BODY_BYTES, ReceiveHook
from mainspring.sdk.triggers import On
from mainspring.security.signatures import REPEATED_S, TOLERANCE_S, sign

SECRET = "the key of the hook"
PATH = "/hooks/air/train/ci"
SNAPSHOT = {"files": {}, "entry": "flow:train", "python": "python3", "preload": []}


@pytest.fixture
def site(desk):
    """A server whose project `air` has a pipeline with a hook."""
    for name in ("air", "rail"):
        desk.ask(access.AddProject(name=name), actor=HOME_USER)
        desk.ask(access.AddSecret(name="CI_HOOK", value=SECRET if name == "air" else "another"), project=name)
    body = {"triggers": [On("webhook", name="ci", secret="CI_HOOK").body()], "snapshot": SNAPSHOT, "folder": "/"}
    desk.ask(messages.Apply(declarations=[Declaration("pipeline", "train", body)]), project="air")
    return Site(desk)


def call(site, path=PATH, body=b"{}", headers=None, **options):
    return site(
        "POST", path, None, content=body, headers={"content-type": "application/json", **(headers or {})}, **options
    )


def standard(desk, body, identity="msg_1", secret=SECRET, age_s=0):
    timestamp = int(desk.clock.now()) - age_s
    told = {"webhook-id": identity, "webhook-timestamp": str(timestamp)}
    return {**told, "webhook-signature": f"v1,none {sign(secret, identity, timestamp, body)}"}


def github(body, secret=SECRET):
    return {"x-hub-signature-256": f"sha256={hmac.digest(secret.encode(), body, hashlib.sha256).hex()}"}


def started(desk):
    return desk.ask(messages.ListRuns(kind="pipeline"), project="air")


def hook(desk):
    (standing,) = desk.ask(triggers.GetPipeline(name="train"), project="air").triggers
    return standing


@pytest.mark.parametrize("how", ["standard", "github", "bearer"])
def test_a_signed_call_starts_the_pipeline_with_what_it_brought(site, desk, how):
    body = b'{"ref": "main"}'
    headers = {
        "standard": standard(desk, body),
        "github": github(body),
        "bearer": {"authorization": f"Bearer {SECRET}"},
    }
    answer = call(site, body=body, headers=headers[how])
    assert (answer.status_code, answer.json()) == (202, {"accepted": True, "repeated": False})
    (run,) = started(desk)
    assert (run.params["event"], run.tags, run.principal) == ("call of ci", {"trigger": "webhook"}, "owner")
    told = desk.ask(messages.Explain(thing=run.id), project="air").lines
    assert "started by On webhook(name=ci, secret=CI_HOOK): call of ci, in the name of owner" in told
    assert SECRET not in str(desk.ask(messages.ListEvents(), project="air"))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda desk: {},
        lambda desk: standard(desk, b"{}", secret="another"),
        lambda desk: standard(desk, b"{} "),
        lambda desk: standard(desk, b"{}", age_s=301),
        lambda desk: standard(desk, b"{}", age_s=-301),
        lambda desk: {**standard(desk, b"{}"), "webhook-id": "msg_2"},
        lambda desk: {**standard(desk, b"{}"), "webhook-timestamp": "٣"},
        lambda desk: {**standard(desk, b"{}"), "authorization": f"Bearer {SECRET}", "webhook-signature": "v1,x"},
        lambda desk: github(b"{}", secret=""),
        lambda desk: {"x-hub-signature-256": "sha256="},
        lambda desk: {"authorization": "Bearer "},
        lambda desk: {"authorization": f"Basic {SECRET}"},
    ],
)
def test_a_call_that_is_not_signed_starts_nothing(site, desk, wrong):
    headers = {name: text.encode() for name, text in wrong(desk).items()}
    answer = call(site, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "TRIGGER-007")
    assert started(desk) == []


def test_whoever_does_not_sign_cannot_tell_what_is_there(site, desk):
    told = set()
    for path in (PATH, "/hooks/air/train/no", "/hooks/air/no/ci", "/hooks/no/train/ci", "/hooks/rail/train/ci"):
        answer = call(site, path, headers=github(b"{}", secret="another"))
        told.add((answer.status_code, answer.text, str(sorted(answer.headers.items()))))
    assert len(told) == 1
    for _ in range(5):
        call(site, headers=github(b"{}", secret="a guess"))
    limited = call(site, headers=github(b"{}"))
    assert (limited.status_code, limited.json()["code"]) == (429, "AUTH-008")
    assert call(site, headers=github(b"{}"), peer="10.0.0.9").status_code == 202, "another address may"


def calls(desk):
    return hook(desk).starts + hook(desk).coalesced + hook(desk).waiting


@pytest.mark.parametrize(
    ("how", "known_s"),
    [("standard", TOLERANCE_S), ("github", REPEATED_S), ("bearer", TOLERANCE_S), ("bearer with an id", REPEATED_S)],
)
def test_a_message_that_comes_again_starts_nothing_more(site, desk, how, known_s):
    shown = {"authorization": f"Bearer {SECRET}"}
    signed = {
        "standard": standard(desk, b"{}"),
        "github": {**github(b"{}"), "x-github-delivery": "1"},
        "bearer": shown,
        "bearer with an id": {**shown, "webhook-id": "msg_1"},
    }[how]
    answers = [call(site, headers=signed).json() for _ in range(3)]
    assert [each["repeated"] for each in answers] == [False, True, True]
    assert (calls(desk), hook(desk).passed) == (1, 2)
    assert hook(desk).outcome == "a call of ci came again, which starts nothing more"
    desk.clock.advance(known_s - 1)
    assert call(site, headers=signed).json()["repeated"]
    assert calls(desk) == 1
    desk.clock.advance(2)
    late = call(site, headers=signed)
    if how == "standard":
        assert late.json()["code"] == "TRIGGER-007", "its time has passed"
    else:
        assert not late.json()["repeated"], "it is remembered for a bounded time"


def test_no_unsigned_id_makes_a_message_new_and_another_message_is(site, desk):
    for number in range(3):
        changed = {**github(b"{}"), "x-github-delivery": str(number), "webhook-id": f"msg_{number}"}
        assert call(site, headers=changed).json()["repeated"] == (number > 0)
    assert not call(site, body=b"[]", headers=github(b"[]")).json()["repeated"]
    assert not call(site, headers=standard(desk, b"{}", "msg_2")).json()["repeated"]
    for number in range(3):
        shown = {"authorization": f"Bearer {SECRET}", "webhook-id": f"msg_{number}"}
        assert not call(site, headers=shown).json()["repeated"]
    assert calls(desk) == 6


def test_what_a_hook_remembers_is_bounded_and_outlasts_a_storm(site, desk, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(hooks, "monotonic", lambda: clock[0])
    monkeypatch.setattr("mainspring.control.hooks._MOST_KNOWN", 50)
    bodies = [str(number).encode() for number in range(60)]
    for body in bodies:
        call(site, body=body, headers=github(body))
        clock[0] += 1.0
    assert len(hook(desk).seen) == 50
    assert call(site, body=bodies[-50], headers=github(bodies[-50])).json()["repeated"]
    desk.clock.advance(REPEATED_S + 1)
    call(site, body=b"later", headers=github(b"later"))
    assert len(hook(desk).seen) == 1


def test_a_storm_of_calls_is_one_start_and_then_refused(site, desk, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(hooks, "monotonic", lambda: clock[0])
    codes = [call(site, headers=standard(desk, b"{}", f"m{number}")).status_code for number in range(70)]
    assert codes == [202] * 60 + [429] * 10
    assert len(started(desk)) == 1
    assert (hook(desk).starts, hook(desk).waiting) == (1, 59)
    limited = call(site, headers=github(b"{}"))
    assert (limited.json()["code"], limited.headers["Retry-After"]) == ("TRIGGER-008", "1")
    clock[0] = 2.0
    assert [call(site, headers=github(b"{}")).status_code for _ in range(3)] == [202, 202, 429]


def test_a_body_is_bounded_and_never_executed(site, desk):
    large = b"x" * (MOST_BODY_BYTES + 1)
    answer = call(site, body=large, headers=github(large))
    assert (answer.status_code, answer.json()["code"]) == (413, "API-009")
    for body in (b"\xff\x00__import__('os')", b"[" * 60_000, b'{"a": 1e999}', b""):
        assert call(site, body=body, headers=github(body)).status_code == 202
    assert len(started(desk)) == 1


def test_a_page_of_another_site_and_other_verbs_are_refused(site, desk):
    answer = call(site, headers={**github(b"{}"), "origin": "https://evil.example"})
    assert answer.json()["code"] == "API-004"
    assert site("GET", PATH, None).json()["code"] == "API-007"
    assert started(desk) == []


def test_a_hook_without_its_secret_says_so_to_its_own_people_only(site, desk):
    desk.ask(access.RemoveSecret(name="CI_HOOK"), project="air")
    assert call(site, headers=github(b"{}")).json()["code"] == "TRIGGER-007"
    assert hook(desk).outcome == "SECRET-001: project 'air' has no secret 'CI_HOOK'"


def test_nobody_but_the_server_brings_calls_and_a_paused_pipeline_takes_none(site, desk):
    received = ReceiveHook("train", "ci", {"authorization": f"Bearer {SECRET}"}, b"")
    desk.ask(triggers.PausePipeline(name="train"), project="air")
    assert desk.ask(received, project="air").accepted
    assert (started(desk), hook(desk).outcome) == ([], "the pipeline is paused")
    with pytest.raises(Invalid, match=r"RENEW-004.*is no name of a webhook"):
        On("webhook", name="../x", secret="A")
