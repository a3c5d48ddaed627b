"""Quotas of tenants: what is agreed binds what starts, and nobody agrees on what cannot be."""

import pytest

from mainspring.control.backlog import forget_backlog
from mainspring.control.placement import close_pools
from mainspring.control.queue import dispatch
from mainspring.control.tenants import set_quota
from mainspring.domain import messages
from mainspring.domain.errors import Invalid, NotFound
from mainspring.domain.messages import Explain
from mainspring.domain.pools import ListNodes
from mainspring.domain.principals import Principal
from mainspring.domain.quotas import Amounts, ListQuotas, RemoveQuota, SetQuota
from mainspring.domain.records import Call, Resources

HOUR_S = 3600.0


@pytest.fixture
def desk(desk, monkeypatch):
    monkeypatch.setattr("mainspring.control.placement.submit", lambda *_: None)  # what is decided is not executed
    yield desk
    close_pools(desk.home)


def queue(desk, who, count=1, **asked):
    anna = Principal(who, "user", {"*": "admin"})
    spec = messages.RunSpec(kind="step", name="fit", call=Call(payload="0" * 64), resources=Resources(**asked))
    return [desk.ask(messages.SubmitRuns(runs=[spec]), actor=anna)[0].id for _ in range(count)]


def list_states(desk, ids):
    return [desk.ask(messages.GetRun(id=each)).state for each in ids]


def test_what_is_agreed_is_kept_changed_and_removed(desk):
    made = desk.ask(SetQuota(tenant="air", weight=2.0, most=Amounts(gpus=8)))
    assert (made.weight, made.priority, made.most.gpus, made.set_by) == (2.0, None, 8, "owner")
    changed = desk.ask(SetQuota(tenant="air", priority=1, guarantee=Amounts(gpus=4, cpus=16)))
    assert (changed.weight, changed.priority, changed.guarantee.cpus, changed.most.gpus) == (2.0, 1, 16, 8)
    desk.ask(SetQuota(tenant="air/anna", weight=0.5))
    assert [each.tenant for each in desk.ask(ListQuotas())] == ["air", "air/anna"]
    assert desk.ask(RemoveQuota(tenant="air")) == changed
    assert [each.tenant for each in desk.ask(ListQuotas())] == ["air/anna"]
    with pytest.raises(NotFound, match="nothing was agreed about 'air'") as caught:
        desk.ask(RemoveQuota(tenant="air"))
    assert caught.value.code == "QUOTA-003"


@pytest.mark.parametrize(
    ("values", "code", "said"),
    [
        ({"tenant": "air/anna/air"}, "QUOTA-001", "'air/anna/air' is no tenant"),
        ({"tenant": "../air"}, "QUOTA-001", "'../air'"),
        ({"tenant": ""}, "QUOTA-001", "''"),
        ({"weight": 0.0}, "QUOTA-002", "air: a weight of 0"),
        ({"weight": -1.0}, "QUOTA-002", "a weight of -1"),
        ({"weight": float("nan")}, "QUOTA-002", "a weight of nan"),
        ({"most": Amounts(gpus=0)}, "QUOTA-002", "a limit of 0 gpus"),
        ({"most": Amounts(memory_bytes=0)}, "QUOTA-002", "a limit of 0 memory_bytes"),
        (
            {"guarantee": Amounts(gpus=4), "most": Amounts(gpus=2)},
            "QUOTA-002",
            "4 gpus are guaranteed, 2 are the limit",
        ),
    ],
)
def test_what_nobody_could_use_is_refused(desk, values, code, said):
    with pytest.raises(Invalid) as caught:
        desk.ask(SetQuota(**({"tenant": "air"} | values)))
    assert caught.value.code == code
    assert said in caught.value.what
    assert desk.ask(ListQuotas()) == []


def test_a_limit_binds_what_starts_and_why_tells_it(desk):
    desk.ask(SetQuota(tenant="default/anna", most=Amounts(cpus=0.2)))
    desk.call(dispatch)
    ids = queue(desk, "anna", 3, cpus=0.1)
    other = queue(desk, "ben", 1, cpus=0.1)
    desk.call(dispatch)
    assert list_states(desk, ids) == ["starting", "starting", "queued"]
    assert list_states(desk, other) == ["starting"]
    lines = desk.ask(Explain(thing=ids[2])).lines
    assert "because waiting for the quota of default/anna: it holds 0.2 cpus of 0.2 cpus, 1st in line" in lines
    desk.ask(SetQuota(tenant="default/anna", most=Amounts(cpus=1)))
    desk.call(dispatch)
    assert list_states(desk, ids) == ["starting"] * 3


def test_a_decision_that_joins_the_turn_in_which_a_limit_is_set_keeps_it(desk):
    desk.call(dispatch)

    def agree_and_decide(turn):
        set_quota(turn, SetQuota(tenant="default/anna", most=Amounts(cpus=0.1)))
        dispatch(turn)

    desk.call(agree_and_decide)
    ids = queue(desk, "anna", 2, cpus=0.1)
    desk.call(dispatch)
    assert sorted(list_states(desk, ids)) == ["queued", "starting"]  # of one instant


def test_what_a_turn_that_was_undone_had_decided_is_decided_again(desk):
    (run_id,) = queue(desk, "anna", cpus=0.1)

    def fail(turn):
        dispatch(turn)
        raise RuntimeError("undone")

    with pytest.raises(RuntimeError, match="undone"):
        desk.call(fail)
    assert list_states(desk, [run_id]) == ["queued"]
    desk.call(dispatch)
    assert list_states(desk, [run_id]) == ["starting"]


def test_what_was_cancelled_while_it_waited_is_passed_over(desk):
    desk.ask(SetQuota(tenant="default/anna", most=Amounts(cpus=0.1)))
    desk.call(dispatch)
    first, second, third = queue(desk, "anna", 3, cpus=0.1)
    desk.call(dispatch)
    desk.ask(messages.CancelRuns(ids=[second], reason="changed my mind"))
    desk.ask(messages.CancelRuns(ids=[first], reason="changed my mind"))
    desk.call(dispatch)
    assert list_states(desk, [first, second, third]) == ["cancelled", "cancelled", "starting"]


def test_what_tenants_have_had_is_known_to_the_next_owner(desk):
    cores = desk.ask(ListNodes())[0].cpus
    used = queue(desk, "anna", cpus=cores)[0]
    desk.call(dispatch)
    desk.clock.advance(HOUR_S)
    desk.call(dispatch)  # an hour is told before it ends
    desk.clock.advance(HOUR_S)
    desk.call(forget_backlog)  # as if the owner had been killed
    desk.call(dispatch)
    desk.ask(messages.CancelRuns(ids=[used], reason="enough"))
    desk.call(dispatch)
    desk.call(forget_backlog)
    # Who has had nothing goes first, though she came first.
    hers, his = queue(desk, "anna", cpus=cores), queue(desk, "ben", cpus=cores)
    desk.call(dispatch)
    assert (list_states(desk, hers), list_states(desk, his)) == (["queued"], ["starting"])


def test_engines_are_told_the_priority_of_the_tenant(desk, monkeypatch):
    told = []
    monkeypatch.setattr("mainspring.control.placement.submit", lambda _, specs: told.extend(specs))
    desk.ask(SetQuota(tenant="default/anna", priority=7))
    queue(desk, "anna", cpus=0.1)
    queue(desk, "ben", cpus=0.1)
    desk.call(dispatch)
    assert sorted(spec.priority for _, spec in told) == [0, 7]


def test_an_engine_with_a_queue_of_its_own_is_given_a_few_runs_that_wait_there(desk, monkeypatch):
    monkeypatch.setattr("mainspring.control.placement.list_delegated", lambda _: {"local"})
    monkeypatch.setenv("MAINSPRING_MOST_QUEUED", "3")
    ids = queue(desk, "anna", 8, cpus=0.1)
    for _ in range(3):
        desk.call(dispatch)
    states = list_states(desk, ids)
    assert states.count("starting") == 3
    lines = desk.ask(Explain(thing=ids[states.index("queued")])).lines
    assert any("waiting for the pool local: as many runs as may be wait in its own queue" in line for line in lines)
    for setting, count in (("5", 5), ("many", 8)):  # which is no number
        monkeypatch.setenv("MAINSPRING_MOST_QUEUED", setting)
        desk.call(dispatch)
        assert list_states(desk, ids).count("starting") == count
