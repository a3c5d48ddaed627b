"""Users with passwords: let in by name and password, refused alike whatever is wrong, slowed down when they guess."""

import base64

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf import argon2
from tests.support.access import HOME_USER, Person
from tests.support.relays import Site

from mainspring.domain import access, passwords
from mainspring.domain.errors import MainspringError
from mainspring.security import passwords as digests

RIGHT = "correct horse battery"
PATH = "/api/2.0/mlflow/experiments/get?experiment_id=0"


@pytest.fixture
def site(desk):
    return Site(desk)


@pytest.fixture
def anna(desk):
    person = Person(desk, "anna", "runner")
    give(desk, "anna", RIGHT)
    return person


def give(desk, name, password):
    digest = digests.digest_password(password) if password else ""
    return desk.ask(passwords.SetPassword(name=name, digest=digest), actor=HOME_USER)


def ask(site, name, password, **options):
    shown = base64.b64encode(f"{name}:{password}".encode()).decode()
    return site("GET", PATH, None, headers={"Authorization": f"Basic {shown}"}, **options)


def test_a_user_is_let_in_by_name_and_password_in_his_own_name(site, anna):
    for _ in range(3):
        assert ask(site, "anna", RIGHT).status_code == 200
    exchanged = [each for each in site.asked if isinstance(each, passwords.FindPassword)]
    assert len(exchanged) == 1, "a password is compared once, not with each request"
    shown = base64.b64encode(f"anna:{RIGHT}".encode()).decode()
    denied = site(
        "POST",
        "/api/2.0/mlflow/experiments/delete",
        None,
        headers={"Authorization": f"Basic {shown}"},
        json={"experiment_id": "0"},
    )
    assert denied.status_code == 403
    assert denied.json()["error_code"] == "PERMISSION_DENIED"
    assert denied.headers["mainspring-code"] == "AUTH-005"


def test_whatever_is_wrong_the_answer_is_the_same(site, anna):
    answers = [ask(site, "anna", "wrong horse battery"), ask(site, "nobody", RIGHT), ask(site, "anna", "")]
    assert [each.status_code for each in answers] == [401, 401, 401]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["error_code"] == "UNAUTHENTICATED"
    assert answers[0].headers["mainspring-code"] == "AUTH-019"


def test_who_guesses_is_slowed_down_and_keeps_nobody_else_out(site, anna):
    assert ask(site, "anna", RIGHT).status_code == 200
    for number in range(10):
        assert ask(site, "anna", f"guess number {number}").status_code == 401
    slowed = ask(site, "anna", "guess again once")
    assert (slowed.status_code, slowed.json()["error_code"]) == (429, "REQUEST_LIMIT_EXCEEDED")
    assert int(slowed.headers["retry-after"]) > 0
    assert ask(site, "anna", RIGHT).status_code == 200, "who was let in before stays in"
    assert ask(site, "anna", "guess from elsewhere", peer="10.0.0.9").status_code == 401


def test_another_password_sends_away_who_was_let_in_by_the_one_before(site, desk, anna):
    assert ask(site, "anna", RIGHT).status_code == 200
    give(desk, "anna", "another long password")
    refused = ask(site, "anna", RIGHT)
    assert (refused.status_code, refused.headers["mainspring-code"]) == (401, "AUTH-004")
    assert ask(site, "anna", RIGHT).headers["mainspring-code"] == "AUTH-019"
    assert ask(site, "anna", "another long password").status_code == 200
    give(desk, "anna", "")
    assert ask(site, "anna", "another long password").status_code == 401
    desk.ask(access.RemoveUser(name="anna"), actor=HOME_USER)
    assert ask(site, "anna", "another long password").status_code == 401


def test_the_record_holds_a_slow_digest_and_no_password(desk, anna):
    found = desk.ask(passwords.FindPassword(name="anna"), actor=HOME_USER).digest
    assert found.startswith(("$argon2id$v=19$m=19456,t=2,p=1$", "$scrypt$ln=15,r=8,p=3$"))
    assert RIGHT not in found
    assert digests.is_password(RIGHT, found)
    assert not digests.is_password(RIGHT + "x", found)
    with pytest.raises(MainspringError, match="AUTH-007"):
        anna.ask(passwords.FindPassword(name="anna"))
    audit = desk.ask(access.ListAudit(), actor=HOME_USER)
    assert [(each.action, each.subject) for each in audit if each.action == "passwords.write"] == [
        ("passwords.write", "anna")
    ]
    assert found not in str(audit)


def test_without_argon2id_scrypt_does(monkeypatch):
    def refuse(*_, **__):
        raise UnsupportedAlgorithm("not of this OpenSSL")

    monkeypatch.setattr(argon2, "Argon2id", refuse)
    made = digests.digest_password(RIGHT)
    assert made.startswith("$scrypt$")
    assert digests.is_digest(made)
    assert digests.is_password(RIGHT, made)
    assert not digests.is_password("wrong", made)


@pytest.mark.parametrize(
    ("name", "digest", "code"),
    [
        ("anna", "plain text", "AUTH-020"),
        ("anna", "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA", "AUTH-020"),
        ("robot", digests.digest_password(RIGHT), "AUTH-020"),
        ("nobody", "", "AUTH-014"),
    ],
    ids=["no digest", "a weak one", "a robot", "nobody"],
)
def test_what_cannot_be_a_password_is_refused(desk, anna, name, digest, code):
    desk.ask(access.AddUser(name="robot", kind="service"), actor=HOME_USER)
    with pytest.raises(MainspringError, match=code):
        desk.ask(passwords.SetPassword(name=name, digest=digest), actor=HOME_USER)


def test_a_short_password_is_refused_before_it_is_sent():
    with pytest.raises(MainspringError, match="AUTH-020"):
        digests.digest_password("short")


def test_nobody_sets_anothers_password(desk, anna):
    Person(desk, "ben", "runner")
    made = digests.digest_password("mine is long enough")
    assert anna.ask(passwords.SetPassword(name="anna", digest=made)).name == "anna"
    with pytest.raises(MainspringError, match="AUTH-007"):
        anna.ask(passwords.SetPassword(name="ben", digest=made))
