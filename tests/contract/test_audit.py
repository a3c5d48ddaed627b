"""The audit: every act of authority is in it, and a change to it is named."""

import json

import pytest
from tests.support.access import HOME_USER, Person

from mainspring.domain import access, messages
from mainspring.domain.access import AuditEntry, Head, Heads
from mainspring.domain.errors import Denied
from mainspring.security.audit import verify

ACTS = 12


def check(desk):
    heads = desk.ask(access.GetAuditHeads(), actor=HOME_USER)
    entries, after = [], 0
    while page := desk.ask(access.ListAudit(after=after, limit=5), actor=HOME_USER):
        entries += page
        after = page[-1].seq
    return verify(entries, heads)


@pytest.fixture
def acted(desk):
    for number in range(ACTS):
        desk.ask(access.AddUser(name=f"user{number}", kind="service"), actor=HOME_USER)
        desk.clock.advance(0.1)
    assert check(desk) == verify(
        desk.ask(access.ListAudit(), actor=HOME_USER), Heads(None, None)
    )  # pages and whole agree
    assert check(desk).breaches == ()
    assert check(desk).entries == ACTS
    return desk


def tamper(desk, *statements):
    """Change the database as somebody could who may write it."""
    desk.call(lambda turn: [turn.connection.exec_driver_sql(statement) for statement in statements])


def breaches(desk):
    return [(breach.kind, breach.seq) for breach in check(desk).breaches]


@pytest.mark.parametrize(
    "change",
    [
        "subject = 'other'",
        "principal = 'user:somebody'",
        "action = 'nothing'",
        "time = time + 1",
        "project = 'rail'",
        "body = '{}'",
        "previous = digest",
        "digest = previous",
    ],
)
def test_an_edited_entry_is_named(acted, change):
    tamper(acted, f"UPDATE audit SET {change} WHERE seq = 5")
    assert ("edited", 5) in breaches(acted)


def test_an_entry_that_was_edited_with_its_digest_is_named(acted):
    from mainspring.security.audit import digest_facts

    fifth = acted.ask(access.ListAudit(after=4, limit=1), actor=HOME_USER)[0]
    facts = {name: getattr(fifth, name) for name in AuditEntry.__struct_fields__} | {"principal": "user:somebody"}
    tamper(acted, f"UPDATE audit SET principal = 'user:somebody', digest = '{digest_facts(facts)}' WHERE seq = 5")
    assert breaches(acted) == [("edited", 5)]


@pytest.mark.parametrize(("first", "last"), [(1, 1), (5, 5), (5, 7), (ACTS - 1, ACTS - 1)])
def test_deleted_entries_are_named(acted, first, last):
    tamper(acted, f"DELETE FROM audit WHERE seq BETWEEN {first} AND {last}")
    assert ("deleted", first) in breaches(acted)
    assert all(kind == "deleted" for kind, _ in breaches(acted))


def test_entries_that_changed_places_are_named(acted):
    tamper(
        acted,
        "UPDATE audit SET seq = -4 WHERE seq = 4",
        "UPDATE audit SET seq = 4 WHERE seq = 9",
        "UPDATE audit SET seq = 9 WHERE seq = -4",
    )
    assert breaches(acted) == [("reordered", 4), ("reordered", 9)]


@pytest.mark.parametrize("left", [0, 1, ACTS - 1])
def test_a_truncated_audit_is_named_by_both_heads(acted, left):
    tamper(acted, f"DELETE FROM audit WHERE seq > {left}")
    assert breaches(acted) == [("truncated", left + 1)] * 2


def test_a_truncated_audit_with_its_head_in_the_record_is_named_by_the_home(acted):
    last = acted.ask(access.ListAudit(after=4, limit=1), actor=HOME_USER)[0]
    head = json.dumps({"seq": 5, "digest": last.digest})
    tamper(acted, "DELETE FROM audit WHERE seq > 5", f"UPDATE cursors SET value = '{head}' WHERE name = 'audit.head'")
    assert breaches(acted) == [("truncated", 6)]
    assert "this home" in check(acted).breaches[0].what


def test_a_chain_that_was_written_anew_is_named_by_the_home(acted):
    """Whoever computes every digest anew is found by the head that was kept elsewhere."""
    from mainspring.security.audit import GENESIS, chain

    entries = acted.ask(access.ListAudit(), actor=HOME_USER)
    forged, last = [], Head(0, GENESIS)
    for entry in entries:
        facts = {name: getattr(entry, name) for name in AuditEntry.__struct_fields__}
        for name in ("seq", "previous", "digest"):
            del facts[name]
        forged.append(chain(last, **{**facts, "principal": "user:somebody"}))
        last = Head(forged[-1].seq, forged[-1].digest)
    head = json.dumps({"seq": last.seq, "digest": last.digest})
    anew = [
        f"UPDATE audit SET principal = '{each.principal}', previous = '{each.previous}', digest = '{each.digest}'"
        f" WHERE seq = {each.seq}"
        for each in forged
    ]
    tamper(acted, *anew, f"UPDATE cursors SET value = '{head}' WHERE name = 'audit.head'")
    assert breaches(acted) == [("edited", ACTS)]


def test_an_act_that_is_refused_leaves_no_entry_and_no_hole(acted):
    with pytest.raises(Denied):
        Person(acted, "anna", "viewer").ask(access.AddProject(name="rail"))
    before = check(acted)
    assert before.breaches == ()
    acted.ask(access.AddProject(name="rail"), actor=HOME_USER)
    assert check(acted).entries == before.entries + 1


def test_a_home_head_that_lags_after_a_crash_is_no_breach(acted):
    older = acted.ask(access.ListAudit(after=9, limit=1), actor=HOME_USER)[0]
    acted.home.audit_head.write_text(json.dumps({"seq": older.seq, "digest": older.digest}))
    assert check(acted).breaches == ()


def test_every_kind_of_act_is_in_the_audit(desk):
    from mainspring.domain.records import Declaration

    as_admin = lambda command: desk.ask(command, actor=HOME_USER)  # noqa: E731
    as_admin(access.AddProject(name="rail"))
    as_admin(access.AddUser(name="anna", role="viewer"))
    as_admin(access.GrantRole(name="anna", role="editor"))
    token = as_admin(access.IssueToken(principal="anna"))
    as_admin(access.RevokeToken(id=token.record.id))
    as_admin(access.AddSecret(name="database", value="canary-value"))
    as_admin(access.RemoveSecret(name="database"))
    as_admin(access.RotateKeys())
    as_admin(messages.Apply(declarations=[Declaration("gate", "delays->champion", {"alpha": 0.05})]))
    as_admin(messages.PutVersion(kind="model", name="other", digest="m1", manifest={}))
    as_admin(messages.MoveAlias(kind="model", name="other", alias="best", number=1))
    as_admin(messages.Deploy(name="web", model="other@best"))
    as_admin(messages.StopService(name="web"))
    as_admin(access.RemoveUser(name="anna"))
    as_admin(access.RemoveProject(name="rail"))
    entries = as_admin(access.ListAudit())
    assert [entry.action for entry in entries] == [
        "projects.write",
        "principals.write",
        "grants.write",
        "grants.write",
        "tokens.issue",
        "tokens.revoke",
        "secrets.write",
        "secrets.remove",
        "secrets.rotate",
        "declarations.apply",
        "aliases.move",
        "services.deploy",
        "services.stop",
        "principals.write",
        "projects.write",
    ]
    assert {entry.principal for entry in entries} == {"user:root"}
    gate = next(entry for entry in entries if entry.action == "declarations.apply")
    assert json.loads(gate.body) == {"before": None, "after": {"alpha": 0.05}}
    assert json.loads(entries[3].body) == {"before": "viewer", "after": "editor"}
    assert not any("canary-value" in entry.body for entry in entries)
    assert check(desk).breaches == ()
