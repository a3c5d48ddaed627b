"""What rented machines cost, who is told, and what follows when a budget is spent."""

import pytest

from mainspring.cli.quotas import _read_money
from mainspring.control.costs import settle_bills
from mainspring.control.finishing import lose_run
from mainspring.control.placement import close_pools
from mainspring.control.queue import dispatch
from mainspring.domain import messages, pools
from mainspring.domain.errors import Invalid
from mainspring.domain.principals import Principal
from mainspring.domain.quotas import ListQuotas, Money, SetQuota
from mainspring.domain.records import Call, Resources
from mainspring.store import runs

HOUR_S = 3600.0


@pytest.fixture
def desk(desk, monkeypatch):
    monkeypatch.setattr("mainspring.control.placement.submit", lambda *_: None)  # what is decided is not executed
    desk.ask(pools.AddPool(name="cloud", url="local://cloud?cpus=8&gpus=4", price=10.0, burst_after_s=60.0))
    yield desk
    close_pools(desk.home)


def queue(desk, who="anna", **asked):
    call = Call(payload="0" * 64)
    spec = messages.RunSpec(kind="step", name="fit", call=call, resources=Resources(**asked))
    return desk.ask(messages.SubmitRuns(runs=[spec]), actor=Principal(who, "user", {"*": "admin"}))[0]


def get(desk, run):
    return desk.ask(messages.GetRun(id=run.id))


def pass_time(desk, seconds):
    desk.clock.advance(seconds)
    desk.call(settle_bills)
    desk.call(dispatch)


def quota_of(desk, tenant):
    return next(each for each in desk.ask(ListQuotas()) if each.tenant == tenant)


def end_what_gives_way(desk, run):
    """Have the attempt end that was told to, as its engine would."""

    def end(turn):
        found, hold = runs.get_held(turn.connection, run.id)
        if hold.gives_way:
            lose_run(turn, found, "it has ended")

    desk.call(end)
    desk.call(settle_bills)
    desk.call(dispatch)


def test_a_run_costs_its_part_of_a_node_for_as_long_as_it_has_it(desk):
    desk.ask(SetQuota(tenant="default", budget=Money(1000.0)))
    two, cores = queue(desk, gpus=2, pool="cloud"), queue(desk, cpus=2, pool="cloud")
    pass_time(desk, 0)
    pass_time(desk, HOUR_S)
    assert (get(desk, two).cost, get(desk, cores).cost) == (5.0, 2.5)
    assert desk.ask(pools.GetPool(name="cloud")).cost == 7.5
    told = quota_of(desk, "default")
    assert (told.spent, told.rate) == (7.5, 7.5)
    assert told.spent_at == desk.clock.now() + (1000 - 7.5) / 7.5 * HOUR_S
    desk.ask(messages.CancelRuns(ids=[two.id]))
    desk.clock.advance(HOUR_S)
    assert get(desk, two).cost == 5.0  # before anybody has closed its bill
    pass_time(desk, HOUR_S)
    assert (get(desk, two).cost, get(desk, cores).cost) == (5.0, 7.5)
    desk.ask(messages.CancelRuns(ids=[cores.id]))
    pass_time(desk, 0)
    assert (quota_of(desk, "default").rate, quota_of(desk, "default").spent_at) == (0.0, None)
    assert quota_of(desk, "default").spent == 12.5


def test_what_is_there_anyway_costs_nothing(desk):
    run = queue(desk, cpus=0.1)
    pass_time(desk, 0)
    pass_time(desk, HOUR_S)
    assert (get(desk, run).place, get(desk, run).cost) == ("local", 0.0)


def test_a_budget_is_a_hard_stop_for_its_tenant_alone(desk):
    desk.ask(SetQuota(tenant="default/anna", budget=Money(10.0)))
    hers, his = queue(desk, gpus=2, pool="cloud"), queue(desk, "ben", gpus=2, pool="cloud")
    pass_time(desk, 0)
    pass_time(desk, 1.9 * HOUR_S)
    assert [get(desk, each).state for each in (hers, his)] == ["starting", "starting"]
    for _ in range(90):
        pass_time(desk, 5.0)
        end_what_gives_way(desk, hers)
    stopped = get(desk, hers)
    assert (stopped.state, stopped.attempt, get(desk, his).state) == ("queued", 2, "starting")
    assert stopped.attempts[0].reason == "preempted for the budget of default/anna, 10 a month"
    assert 9.9 < stopped.attempts[0].cost <= 10.0
    assert stopped.cost == stopped.attempts[0].cost
    lines = desk.ask(messages.Explain(thing=hers.id)).lines
    assert "because preempted for the budget of default/anna, 10 a month, 1st in line" in lines
    late = queue(desk, gpus=1, pool="cloud")
    pass_time(desk, HOUR_S)
    told = "because waiting for the pool cloud: the budget of default/anna is spent"
    assert any(line.startswith(told) for line in desk.ask(messages.Explain(thing=late.id)).lines)
    assert [get(desk, each).state for each in (hers, late)] == ["queued", "queued"]
    desk.ask(SetQuota(tenant="default/anna", budget=Money(20.0)))
    pass_time(desk, 5.0)
    assert get(desk, hers).state == "starting"


def test_a_new_month_brings_the_budget_again(desk):
    desk.ask(SetQuota(tenant="default", budget=Money(1.0)))
    run = queue(desk, gpus=4, pool="cloud")
    pass_time(desk, 0)
    for _ in range(80):
        pass_time(desk, 5.0)
        end_what_gives_way(desk, run)
    assert get(desk, run).state == "queued"
    pass_time(desk, 31 * 24 * HOUR_S)
    assert (get(desk, run).state, quota_of(desk, "default").spent) == ("starting", 0.0)


def test_a_spent_budget_is_still_spent_for_the_next_owner(desk):
    from mainspring.control.costs import look_anew

    desk.ask(SetQuota(tenant="default", budget=Money(1.0)))
    run = queue(desk, gpus=4, pool="cloud")
    pass_time(desk, 0)
    desk.clock.advance(HOUR_S)
    desk.call(look_anew)
    desk.call(settle_bills)
    end_what_gives_way(desk, run)
    desk.call(look_anew)
    desk.call(dispatch)
    assert get(desk, run).state == "queued"


@pytest.mark.parametrize("month", [0.0, -1.0, float("nan")])
def test_a_budget_of_nothing_is_refused(desk, month):
    with pytest.raises(Invalid, match="QUOTA-002") as caught:
        desk.ask(SetQuota(tenant="air", budget=Money(month)))
    assert caught.value.what == f"air: a budget of {month:g}"


def test_a_budget_is_read_changed_and_taken_away(desk):
    assert (_read_money("100"), _read_money(" 2.5 / month"), _read_money("none")) == (Money(100), Money(2.5), Money())
    for text in ("much", "100/week", "-1", "nan", "none/month", "1e99"):
        with pytest.raises(Invalid, match="QUOTA-002") as caught:
            _read_money(text)
        assert repr(text) in caught.value.what
    desk.ask(SetQuota(tenant="air", weight=2.0, budget=Money(5.0)))
    assert quota_of(desk, "air").budget == Money(5.0)
    assert desk.ask(SetQuota(tenant="air", weight=3.0)).budget == Money(5.0)
    assert desk.ask(SetQuota(tenant="air", budget=Money())).budget == Money()
