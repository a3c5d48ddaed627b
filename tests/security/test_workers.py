"""Workers: their tokens lie nowhere, and they may what those may for whom they work."""

import pytest
from tests.support.access import HOME_USER, Person

from mainspring.control.placement import worker_token
from mainspring.domain import access, messages, records
from mainspring.domain.errors import Denied
from mainspring.security.tokens import digest_token
from mainspring.store import calls, runs


def place(desk, principal):
    """Have a run of a principal under way on a worker; return it with what its worker shows."""
    spec = messages.RunSpec(kind="step", name="x", call=records.Call(payload="0" * 64))
    (run,) = desk.ask(messages.SubmitRuns(runs=[spec]), actor=HOME_USER)
    shown = worker_token(desk.home, run.id, 1)

    def start(turn):
        calls.place(turn.connection, run.id, digest_token(shown), turn.now())
        held = runs.get_run(turn.connection, run.id)
        runs.change_run(turn.connection, held, state="running", principal=principal, place="local/here")

    desk.call(start)
    return run, f"msw_{shown}"


@pytest.mark.parametrize(("role", "may"), [("viewer", False), ("runner", False), ("editor", True), ("admin", True)])
def test_a_worker_reads_what_is_sensitive_for_who_may(desk, role, may):
    person = Person(desk, "ben", role)
    key = desk.ask(access.MakeDataKey(name="column:people:name"), actor=HOME_USER)
    run, token = place(desk, f"user:{person.name}")
    below = desk.ask(messages.BeginRun(kind="step", name="below", parent_id=run.id), actor=HOME_USER).run
    assert below.principal == f"user:{person.name}", "what a worker begins runs for the same people"
    for command in (access.UseDataKey(id=key.id), access.MakeDataKey(name="column:people:name")):
        if may:
            assert desk.ask(command, token=token) == key
            continue
        with pytest.raises(Denied) as caught:
            desk.ask(command, token=token)
        assert caught.value.code == "AUTH-005"
        assert "sensitive.read needs editor" in caught.value.what
    acts = [entry for entry in desk.ask(access.ListAudit(), actor=HOME_USER) if entry.action == "sensitive.read"]
    assert len(acts) == (2 if may else 0)
    assert all(act.principal == f"worker:{run.id}-1" and run.id in act.body for act in acts)


def test_nobody_takes_the_name_of_the_run_above(desk):
    run, _ = place(desk, "user:anna")
    ben = Person(desk, "ben", "runner")
    assert ben.ask(messages.BeginRun(kind="step", name="x", parent_id=run.id)).run.principal == "user:ben"


def test_the_record_holds_no_token_of_a_worker(desk, record):
    del record
    _run, token = place(desk, "user:root")
    secret = token.rpartition("-")[2]
    rows = []
    desk.call(lambda turn: rows.extend(turn.connection.exec_driver_sql("SELECT * FROM calls").fetchall()))
    assert len(rows) == 1
    assert secret not in repr(rows)
    assert digest_token(token.removeprefix("msw_")) in repr(rows)


def test_a_token_ends_with_its_attempt(desk):
    run, token = place(desk, "user:root")
    assert desk.ask(messages.GetRun(id=run.id), token=token).id == run.id
    desk.call(lambda turn: calls.unplace(turn.connection, run.id))
    with pytest.raises(Denied, match="AUTH-002"):
        desk.ask(messages.GetRun(id=run.id), token=token)
    assert worker_token(desk.home, run.id, 2) != token.removeprefix("msw_")


def take_back(desk, how):
    if how == "removed":
        desk.ask(access.RemoveUser(name="ben"), actor=HOME_USER)
    elif how == "revoked":
        desk.ask(access.RevokeRole(name="ben"), actor=HOME_USER)
    else:
        desk.ask(access.GrantRole(name="ben", role="viewer"), actor=HOME_USER)


@pytest.mark.parametrize("kind", ["user", "service"])
@pytest.mark.parametrize("how", ["removed", "revoked", "lowered"])
def test_the_runs_of_who_may_run_nothing_any_more_end(desk, how, kind):
    ben = Person(desk, "ben", "editor", kind=kind)
    run, token = place(desk, f"{kind}:ben")
    below = desk.ask(messages.BeginRun(kind="step", name="below", parent_id=run.id), actor=HOME_USER).run
    queued = ben.ask(messages.BeginRun(kind="step", name="other"))
    other, _ = place(desk, "user:anna")
    assert desk.ask(messages.GetRun(id=run.id), token=token).state == "running"
    take_back(desk, how)
    for each in (run.id, below.id, queued.run.id):
        ended = desk.ask(messages.GetRun(id=each), actor=HOME_USER)
        assert ended.state == "cancelled"
        assert ended.problem.code == ("AUTH-018" if each != below.id else ended.problem.code)
        assert ended.problem.code in {"AUTH-018", "RUN-010"}
    told = desk.ask(messages.GetRun(id=run.id), actor=HOME_USER).problem
    assert f"{kind}:ben, who submitted it" in told.what
    assert desk.ask(messages.GetRun(id=other.id), actor=HOME_USER).state == "running"
    with pytest.raises(Denied) as caught:
        desk.ask(messages.GetRun(id=run.id), token=token)
    assert caught.value.code == "AUTH-003"
    beats = desk.ask(messages.Heartbeat(leases=[(run.id, 1, run.fence)]), actor=HOME_USER)
    assert beats.orders[run.id] in {"cancel", "lost"}, "its worker is told to end"


def test_a_role_elsewhere_keeps_runs_elsewhere(desk):
    Person(desk, "ben", "editor")
    desk.ask(access.AddProject(name="air"), actor=HOME_USER)
    desk.ask(access.GrantRole(name="ben", role="runner"), actor=HOME_USER, project="air")
    here, _ = place(desk, "user:ben")
    desk.ask(access.RevokeRole(name="ben"), actor=HOME_USER, project="air")
    assert desk.ask(messages.GetRun(id=here.id), actor=HOME_USER).state == "running"


@pytest.mark.parametrize("kind", ["user", "service"])
def test_a_worker_of_who_lost_every_role_is_refused_although_its_run_goes_on(desk, kind):
    Person(desk, "ben", "editor", kind=kind)
    run, token = place(desk, f"{kind}:ben")

    def forget(turn):
        turn.connection.exec_driver_sql("DELETE FROM grants")

    desk.call(forget)
    with pytest.raises(Denied, match="AUTH-018"):
        desk.ask(messages.GetRun(id=run.id), token=token)
