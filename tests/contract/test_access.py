"""Users, roles, projects and tokens, at a real record."""

import pytest
from tests.support.access import HOME_USER, Person

from mainspring.domain import access, messages
from mainspring.domain.errors import Conflict, Denied, Invalid, MainspringError, NotFound
from mainspring.domain.principals import ANY_PROJECT, Principal
from mainspring.security.tokens import digest_token
from mainspring.store.tables import metadata


def refused(call, *arguments, **options):
    with pytest.raises(MainspringError) as caught:
        call(*arguments, **options)
    return caught.value.code


def as_admin(desk, command, **options):
    return desk.ask(command, actor=HOME_USER, **options)


def test_a_new_user_may_nothing_until_a_role_is_granted(desk):
    anna = Person(desk, "anna")
    assert refused(anna.ask, messages.ListRuns()) == "AUTH-007"
    as_admin(desk, access.GrantRole(name="anna", role="viewer"))
    assert anna.ask(messages.ListRuns()) == []
    assert refused(anna.ask, messages.BeginRun(kind="step", name="fit")) == "AUTH-005"
    as_admin(desk, access.GrantRole(name="anna", role="runner"))
    run = anna.ask(messages.BeginRun(kind="step", name="fit")).run
    assert run.principal == "user:anna"
    as_admin(desk, access.RevokeRole(name="anna"))
    assert refused(anna.ask, messages.ListRuns()) == "AUTH-007"


@pytest.mark.parametrize(
    "token",
    ["msp_", "x", "msp_0123456789abcdef", "MSP_" + "0" * 16 + "_" + "0" * 64, "msp_" + "0" * 16 + "_" + "0" * 65],
)
def test_a_malformed_token_is_named_and_not_repeated(desk, token):
    with pytest.raises(Denied) as caught:
        desk.ask(messages.ListRuns(), actor=HOME_USER, token=token)
    assert caught.value.code == "AUTH-001"
    assert token not in str(caught.value) or len(token) < 5


def test_an_unknown_token_and_one_with_another_secret_are_the_same(desk):
    anna = Person(desk, "anna", "viewer")
    wrong = anna.token[:-4] + ("0000" if anna.token[-4:] != "0000" else "1111")
    unknown = "msp_" + "f" * 16 + "_" + "0" * 64
    for token in (wrong, unknown):
        with pytest.raises(Denied) as caught:
            desk.ask(messages.ListRuns(), actor=HOME_USER, token=token)
        assert caught.value.code == "AUTH-002"
        assert "anna" not in caught.value.what


def test_an_expired_token_is_refused_from_its_time_on(desk):
    anna = Person(desk, "anna", "viewer", expires_s=60.0)
    assert anna.ask(messages.ListRuns()) == []
    desk.clock.advance(60.0)
    assert refused(anna.ask, messages.ListRuns()) == "AUTH-003"


def test_a_revoked_token_is_refused_at_once(desk):
    anna = Person(desk, "anna", "viewer")
    as_admin(desk, access.RevokeToken(id=anna.token_id))
    assert refused(anna.ask, messages.ListRuns()) == "AUTH-004"
    ben = Person(desk, "ben", "viewer")
    as_admin(desk, access.RemoveUser(name="ben"))
    assert refused(ben.ask, messages.ListRuns()) == "AUTH-004"


def test_a_token_of_another_project_is_refused(desk):
    as_admin(desk, access.AddProject(name="rail"))
    anna = Person(desk, "anna", "admin", project="rail")
    assert anna.ask(messages.ListRuns()) == []
    assert refused(anna.ask, messages.ListRuns(), project="default") == "AUTH-007"
    assert refused(as_admin, desk, messages.ListRuns(), project="sea") == "AUTH-009"


def test_scopes_narrow_a_token_and_what_it_can_make(desk):
    anna = Person(desk, "anna", "admin", everywhere=True, scopes=("read", "tokens"))
    assert anna.ask(messages.ListRuns()) == []
    assert refused(anna.ask, messages.BeginRun(kind="step", name="fit")) == "AUTH-006"
    assert refused(anna.ask, access.IssueToken(principal="anna")) == "AUTH-006"
    assert refused(anna.ask, access.IssueToken(principal="anna", scopes=("runs",))) == "AUTH-006"
    narrower = anna.ask(access.IssueToken(principal="anna", scopes=("read",)))
    assert narrower.record.scopes == ("read",)


def test_a_token_that_expires_makes_none_that_holds_longer(desk):
    anna = Person(desk, "anna", "viewer", expires_s=100.0)
    assert refused(anna.ask, access.IssueToken(principal="anna")) == "AUTH-006"
    assert refused(anna.ask, access.IssueToken(principal="anna", expires_s=101.0)) == "AUTH-006"
    assert anna.ask(access.IssueToken(principal="anna", expires_s=50.0)).record.expires_at


def test_nobody_makes_tokens_for_others_or_reads_theirs(desk):
    anna, ben = Person(desk, "anna", "admin"), Person(desk, "ben", "viewer")
    assert refused(anna.ask, access.IssueToken(principal="ben")) == "AUTH-007"
    assert [token.principal for token in ben.ask(access.ListTokens())] == ["ben"]
    assert ben.ask(access.ListTokens(principal="anna")) == []
    assert refused(ben.ask, access.RevokeToken(id=anna.token_id)) == "AUTH-014"
    assert ben.ask(access.RevokeToken(id=ben.token_id)).revoked_at


def test_only_digests_of_tokens_are_in_the_record(desk):
    issued = as_admin(desk, access.IssueToken(principal=Person(desk, "anna", "viewer").name), key="once")
    secret = issued.token.rpartition("_")[2]
    rows = []
    for table in metadata.sorted_tables:
        desk.call(lambda turn, table=table: rows.extend(turn.connection.execute(table.select())))
    dump = "\n".join(map(str, rows))
    assert digest_token(issued.token) in dump
    assert secret not in dump
    assert secret not in repr(issued)
    for path in desk.home.root.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path


def test_the_last_use_is_kept_to_the_minute_without_a_write_for_each_request(desk):
    from mainspring.control.identity import note_uses

    anna = Person(desk, "anna", "viewer")
    for _ in range(3):
        anna.ask(messages.ListRuns())
    (token,) = as_admin(desk, access.ListTokens(principal="anna"))
    assert token.last_used_at is None
    desk.call(note_uses)
    (token,) = as_admin(desk, access.ListTokens(principal="anna"))
    assert token.last_used_at == desk.clock.now() // 60 * 60


def test_an_answer_is_not_repeated_to_another_who_knows_the_key(desk):
    anna, ben = Person(desk, "anna", "runner"), Person(desk, "ben", "runner")
    command = messages.BeginRun(kind="step", name="fit")
    first = anna.ask(command, key="the same")
    assert anna.ask(command, key="the same") == first
    assert ben.ask(command, key="the same").run.id != first.run.id
    as_admin(desk, access.RevokeRole(name="anna"))
    assert refused(anna.ask, command, key="the same") == "AUTH-007"


def test_a_project_admin_rules_in_the_project_alone(desk):
    as_admin(desk, access.AddProject(name="rail"))
    anna = Person(desk, "anna", "admin", project="rail")
    Person(desk, "ben")
    assert anna.ask(access.GrantRole(name="ben", role="editor")).roles == {"rail": "editor"}
    assert refused(anna.ask, access.GrantRole(name="ben", role="viewer", everywhere=True)) == "AUTH-007"
    assert refused(anna.ask, access.AddUser(name="carl")) == "AUTH-007"
    assert refused(anna.ask, access.AddProject(name="sea")) == "AUTH-007"
    assert refused(anna.ask, access.ListAudit()) == "AUTH-007"
    assert [account.name for account in anna.ask(access.ListUsers())] == ["anna", "ben"]


def test_names_and_doubles_are_refused(desk):
    Person(desk, "anna")
    as_admin(desk, access.AddProject(name="rail"))
    for name in ("", "a b", "../x", "-x", "x" * 101):
        with pytest.raises(Invalid, match="AUTH-011"):
            as_admin(desk, access.AddUser(name=name))
    for name in ("", "Rail", "a@b", "../x", "1"):
        with pytest.raises(Invalid, match="AUTH-011"):
            as_admin(desk, access.AddProject(name=name))
    with pytest.raises(Conflict, match="AUTH-012"):
        as_admin(desk, access.AddUser(name="anna", kind="service"))
    for name in ("rail", "default"):
        with pytest.raises(Conflict, match="AUTH-012"):
            as_admin(desk, access.AddProject(name=name))
    for scopes, expires_s in ((("all",), None), (None, 0.0), (None, -5.0)):
        with pytest.raises(Invalid, match="AUTH-015"):
            as_admin(desk, access.IssueToken(principal="anna", scopes=scopes, expires_s=expires_s))
    with pytest.raises(NotFound, match="AUTH-014"):
        as_admin(desk, access.IssueToken(principal="nobody"))


def test_a_project_goes_only_when_it_is_empty(desk):
    as_admin(desk, access.AddProject(name="rail"))
    as_admin(desk, messages.BeginRun(kind="step", name="fit"), project="rail")
    with pytest.raises(Conflict, match="AUTH-013"):
        as_admin(desk, access.RemoveProject(name="rail"))
    as_admin(desk, access.AddProject(name="sea"))
    as_admin(desk, access.RemoveProject(name="sea"))
    assert [project.name for project in as_admin(desk, access.ListProjects())] == ["default", "rail"]


def test_the_home_user_is_admin_and_a_token_takes_that_away(desk):
    assert as_admin(desk, access.WhoAmI()).roles == {ANY_PROJECT: "admin"}
    anna = Person(desk, "anna", "viewer")
    told = desk.ask(access.WhoAmI(), actor=HOME_USER, token=anna.token)
    assert (told.principal, told.roles) == ("user:anna", {"default": "viewer"})
    with pytest.raises(Denied):
        desk.ask(messages.ListRuns(), actor=Principal("nobody", "user"))
