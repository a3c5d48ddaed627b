"""Pools in the record: what may be one, what is told of it, and who may say so."""

import pytest
from tests.support.access import HOME_USER

from mainspring.control.commits import Ask
from mainspring.control.placement import close_pools
from mainspring.domain import messages, pools
from mainspring.domain.errors import Conflict, Invalid, MainspringError, NotFound
from mainspring.domain.principals import Principal
from mainspring.domain.records import Call, Resources


@pytest.fixture
def desk(desk):
    yield desk
    close_pools(desk.home)


def add(desk, name="lab", url="local://lab?cpus=3", **said):
    return desk.ask(pools.AddPool(name=name, url=url, **said))


def queue(desk, **asked):
    call = Call(payload="0" * 64)
    spec = messages.RunSpec(kind="step", name="fit", call=call, resources=Resources(**asked))
    return desk.ask(messages.SubmitRuns(runs=[spec]))[0]


def test_every_home_has_its_local_pool(desk):
    (local,) = desk.ask(pools.ListPools())
    assert (local.name, local.url, local.nodes, local.problem) == ("local", "local://", 1, "")
    (node,) = desk.ask(pools.ListNodes())
    assert (node.place, node.pool, node.cpus) == ("local", "local", local.cpus)


def test_a_pool_is_added_shown_changed_and_removed(desk):
    made = add(desk, zone="hall-2", owner="ops", trust="high", price=1.5, start_s=60.0, spot=True)
    assert (made.zone, made.owner, made.trust, made.price, made.start_s, made.spot) == (
        "hall-2", "ops", "high", 1.5, 60.0, True,
    )  # fmt: skip
    assert (made.nodes, made.cpus, made.held, made.problem) == (1, 3.0, 0, "")
    assert made.created_by == "owner"
    changed = add(desk, zone="hall-3")
    assert (changed.zone, changed.price, changed.created_at) == ("hall-3", 0.0, made.created_at)
    assert [each.name for each in desk.ask(pools.ListPools())] == ["local", "lab"]
    assert [each.place for each in desk.ask(pools.ListNodes(pool="lab"))] == ["lab"]
    assert desk.ask(pools.RemovePool(name="lab")).name == "lab"
    assert [each.name for each in desk.ask(pools.ListPools())] == ["local"]


@pytest.mark.parametrize(
    ("name", "url", "code", "said"),
    [
        ("local", "local://mine", "POOL-002", "every home has its local pool"),
        ("Big Lab", "local://lab", "POOL-002", "'Big Lab'"),
        ("lab", "lab", "POOL-002", "'lab'"),
        ("lab", "local://", "POOL-002", "is what the pool local uses"),
        ("lab", "local://local?cpus=1", "POOL-002", "is what the pool local uses"),
        ("lab", "local://lab?cpus=none", "POOL-002", "cpus"),
        ("lab", "local://lab?cpus=0", "POOL-002", "cpus=0"),
        ("lab", "local://lab?cpus=nan", "POOL-002", "cpus=nan"),
        ("lab", "local://lab?gpus=0.5", "POOL-002", "gpus=0.5"),
        ("lab", "local://lab?colour=red", "POOL-002", "colour=red"),
        ("lab", "local://lab?memory=much", "RUN-004", "much"),
        ("lab", "abacus://lab", "WORK-001", "abacus"),
        ("lab", "ssh://anna:canary@lab", "POOL-003", "a password"),
        ("lab", "slurm://lab?api_token=canary", "POOL-003", "'api_token'"),
        ("lab", "k8s://lab#secret=canary", "POOL-003", "'secret'"),
        ("lab", "ssh://[canary", "POOL-003", "cannot be told apart"),
    ],
)
def test_what_can_be_no_pool_is_refused(desk, name, url, code, said):
    with pytest.raises(MainspringError, match=code) as caught:
        add(desk, name, url)
    assert said in caught.value.what
    if code == "POOL-003":
        assert "canary" not in str(caught.value)
    assert [each.name for each in desk.ask(pools.ListPools())] == ["local"]


def test_two_pools_do_not_share_one_engine(desk):
    add(desk)
    with pytest.raises(Invalid, match="POOL-002"):
        add(desk, "other", "local://lab?cpus=1")


def test_a_pool_that_is_not_there_is_told_with_the_nearest(desk):
    add(desk)
    for command in (pools.GetPool(name="lba"), pools.RemovePool(name="lba"), pools.ListNodes(pool="lba")):
        with pytest.raises(NotFound, match="POOL-001") as caught:
            desk.ask(command)
        assert "lab" in caught.value.fix
    with pytest.raises(Invalid, match="POOL-002"):
        desk.ask(pools.RemovePool(name="local", force=True))


def test_a_machine_is_drained_and_resumed(desk):
    add(desk)
    drained = desk.ask(pools.DrainNode(place="lab"))
    assert (drained.drained_by, drained.drained_at) == ("owner", desk.clock.now())
    assert desk.ask(pools.GetPool(name="lab")).problem == "all its machines are drained"
    desk.clock.advance(5)
    assert desk.ask(pools.DrainNode(place="lab")).drained_at == drained.drained_at  # the first word stays
    assert desk.ask(pools.ResumeNode(place="lab")).drained_by == ""
    with pytest.raises(NotFound, match="POOL-006"):
        desk.ask(pools.DrainNode(place="lab/gpu01"))
    with pytest.raises(NotFound, match="POOL-001"):
        desk.ask(pools.ResumeNode(place="attic/gpu01"))


def test_a_removed_pool_leaves_no_drained_machines(desk):
    add(desk)
    desk.ask(pools.DrainNode(place="lab"))
    desk.ask(pools.RemovePool(name="lab"))
    add(desk)
    assert [each.drained_by for each in desk.ask(pools.ListNodes(pool="lab"))] == [""]


def test_a_run_asks_for_a_pool_that_is_there_and_can_hold_it(desk):
    with pytest.raises(Invalid, match="RUN-009") as caught:
        queue(desk, pool="lab")
    assert caught.value.what == "step fit can never start: there is no pool 'lab'; there are local"
    add(desk)
    assert queue(desk, pool="lab").state == "queued"
    with pytest.raises(Invalid, match="RUN-009") as caught:
        queue(desk, pool="lab", cpus=4)
    assert "the largest node, lab, has 3" in caught.value.what


def test_a_pool_that_is_waited_for_is_not_removed_by_the_way(desk):
    add(desk)
    desk.ask(pools.DrainNode(place="lab"))
    run = queue(desk, pool="lab")
    for command in (pools.RemovePool(name="lab"), pools.AddPool(name="lab", url="local://lab?cpus=2")):
        with pytest.raises(Conflict, match="POOL-004") as caught:
            desk.ask(command)
        assert "1 waiting for it" in caught.value.what
    desk.ask(pools.RemovePool(name="lab", force=True))
    ended = desk.ask(messages.GetRun(id=run.id))
    assert (ended.state, ended.problem.code) == ("failed", "POOL-005")
    assert "the pool lab was removed" in ended.problem.what


def test_only_who_administers_the_home_changes_pools(desk):
    add(desk)
    ben = Principal("ben", "user", {"default": "admin"})
    for command in (
        pools.AddPool(name="mine", url="local://mine"),
        pools.RemovePool(name="lab"),
        pools.DrainNode(place="lab"),
        pools.ResumeNode(place="lab"),
    ):
        (outcome,), _ = desk.run([Ask(command, ben)])
        assert outcome.code == "AUTH-007"
    (outcome,), _ = desk.run([Ask(pools.ListPools(), HOME_USER)])
    assert not isinstance(outcome, MainspringError)
