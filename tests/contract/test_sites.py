"""Where runs may be: what is sensitive, what has an owner, and what costs something."""

import pytest

from mainspring.control.commits import Ask
from mainspring.control.finishing import lose_run
from mainspring.control.placement import START_S, close_pools
from mainspring.control.queue import dispatch
from mainspring.domain import access, messages, pools
from mainspring.domain.errors import Denied, Invalid
from mainspring.domain.principals import Principal
from mainspring.domain.records import Call, Resources
from mainspring.store import runs

SENSITIVE = {"sealed": ["name"], "contract": {"columns": []}}


@pytest.fixture
def desk(desk, monkeypatch):
    monkeypatch.setattr("mainspring.control.placement.submit", lambda *_: None)  # what is decided is not executed
    yield desk
    close_pools(desk.home)


def add(desk, name="cloud", **said):
    return desk.ask(pools.AddPool(name=name, url=f"local://{name}?cpus=64&gpus=2", **said))


def put(desk, name, digest="d", **options):
    manifest = {"table": name}
    return desk.ask(messages.PutVersion(kind="dataset", name=name, digest=digest, manifest=manifest, **options))


def queue(desk, *, reads=(), exposed=False, parent=None, who="anna", kind="step", **asked):
    call = Call(payload="0" * 64, reads=tuple(reads), exposed=exposed)
    spec = messages.RunSpec(kind=kind, name="fit", call=call, resources=Resources(**asked), parent_id=parent)
    return desk.ask(messages.SubmitRuns(runs=[spec]), actor=Principal(who, "user", {"*": "admin"}))[0]


def get(desk, run):
    return desk.ask(messages.GetRun(id=run.id))


def why(desk, run):
    return desk.ask(messages.Explain(thing=run.id)).lines


def fill_home(desk):
    cores = next(each.cpus for each in desk.ask(pools.ListNodes()) if each.pool == "local")
    run = queue(desk, cpus=cores)
    desk.call(dispatch)
    assert get(desk, run).place == "local"
    return run


def test_a_run_is_as_sensitive_as_what_it_is_given(desk):
    people = put(desk, "people", details=SENSITIVE)
    made = put(desk, "made", inputs=(people.id,))
    again = put(desk, "again", details={"rows": 3}, inputs=(made.id,))
    put(desk, "towns", details={"contract": {"columns": []}}, inputs=(people.id,))
    put(desk, "roads", details={"rows": 3})
    for reads, expected in (
        (["people@1"], True),
        (["towns@1", "made@1"], True),
        ([again.reference], True),
        (["nothing@1"], True),
        (["towns@1", "roads@1"], False),
        ([], False),
    ):
        assert queue(desk, reads=reads).resources.sensitive is expected, reads
    above = queue(desk, exposed=True)
    assert above.resources.sensitive
    below = queue(desk, parent=above.id)
    assert below.resources.sensitive
    said = queue(desk, sensitive=True)
    for run, told in (
        (queue(desk, reads=[again.reference]), "it is given again@1"),
        (above, "something sensitive had been seen where it was called"),
        (below, "so is the run above it"),
        (said, "it was called with sensitive=True"),
    ):
        assert f"it stays where what is sensitive may be: {told}" in why(desk, run)


def test_what_no_pool_may_hold_is_refused_with_what_would_help(desk, monkeypatch):
    put(desk, "people", details=SENSITIVE)
    add(desk)
    with pytest.raises(Denied, match="POOL-008") as caught:
        queue(desk, reads=["people@1"], pool="cloud")
    assert caught.value.what == (
        "step fit can never start: the pool cloud is not trusted with what is sensitive, and it is given people@1"
    )
    assert "mainspring pools add cloud 'local://cloud?cpus=64&gpus=2'" in caught.value.fix
    assert "--trust sensitive" in caught.value.fix
    with pytest.raises(Denied, match="POOL-008") as caught:
        queue(desk, sensitive=True, gpus=1)
    assert "the largest node, local, has 0; the pool cloud is not trusted" in caught.value.what
    with pytest.raises(Invalid, match="RUN-009"):
        queue(desk, sensitive=True, gpus=3)  # which the other pool could not hold, either
    monkeypatch.setenv("MAINSPRING_ZONE", "hospital")
    assert add(desk, trust="sensitive", zone="aws").may_hold_sensitive is False
    with pytest.raises(Denied) as caught:
        queue(desk, sensitive=True, pool="cloud")
    assert "the pool cloud stands in zone aws, this home in zone hospital" in caught.value.what
    assert add(desk, trust="sensitive", zone="hospital").may_hold_sensitive
    assert queue(desk, sensitive=True, pool="cloud").state == "queued"


def test_what_is_sensitive_waits_at_home_while_others_leave(desk):
    add(desk)
    fill_home(desk)
    secret, free = queue(desk, exposed=True), queue(desk)
    desk.call(dispatch)
    assert (get(desk, secret).state, get(desk, free).place) == ("queued", "cloud")
    add(desk, trust="sensitive")
    desk.call(dispatch)
    assert get(desk, secret).place == "cloud"


def test_no_key_is_handed_to_a_worker_where_it_may_not_be(desk):
    add(desk)
    run = queue(desk, pool="cloud")
    desk.call(dispatch)
    worker = Principal(f"{run.id}-1", "worker", {"default": "editor"}, run_id=run.id)
    key = desk.ask(access.MakeDataKey(name="column:people:name"))
    for command in (access.MakeDataKey(name="column:people:name"), access.UseDataKey(id=key.id)):
        (outcome,), _ = desk.run([Ask(command, worker)])
        assert outcome.code == "POOL-008"
    add(desk, trust="sensitive")
    assert desk.ask(access.UseDataKey(id=key.id), actor=worker).key == key.key


def test_a_pool_with_an_owner_takes_its_runs_alone(desk):
    assert add(desk, owner="default/anna").owner == "default/anna"
    with pytest.raises(Invalid, match="QUOTA-001") as caught:
        add(desk, owner="Big Co")
    assert "'Big Co'" in caught.value.what
    with pytest.raises(Denied, match="POOL-009") as caught:
        queue(desk, who="ben", pool="cloud")
    assert caught.value.what == "step fit can never start: the pool cloud takes runs of default/anna alone"
    with pytest.raises(Denied, match="POOL-009"):
        queue(desk, who="ben", gpus=1)
    fill_home(desk)
    hers, his = queue(desk), queue(desk, who="ben")
    desk.call(dispatch)
    assert (get(desk, hers).place, get(desk, his).state) == ("cloud", "queued")


def test_a_machine_is_rented_when_home_is_full_and_the_wait_is_over(desk):
    made = add(desk, price=2.5, burst_after_s=600, idle_s=60)
    assert made.rented == ""
    fill_home(desk)
    run, later = queue(desk), queue(desk)
    desk.clock.advance(200)
    desk.call(dispatch)
    assert (get(desk, run).state, why(desk, run)[1].partition("; ")[2]) == (
        "queued",
        "cloud: waits 3min, bursts after 10min",
    )
    desk.clock.advance(400)
    desk.call(dispatch)
    assert [get(desk, each).place for each in (run, later)] == ["cloud", "cloud"]
    assert desk.ask(pools.GetPool(name="cloud")).rented == "1 in use"
    desk.ask(messages.CancelRuns(ids=[run.id, later.id]))
    desk.call(dispatch)
    assert desk.ask(pools.GetPool(name="cloud")).rented == "0 in use, 1 idle, given back after 1min"
    desk.clock.advance(61)
    assert desk.ask(pools.GetPool(name="cloud")).rented.startswith("given back; a run that has waited 10min")
    last = queue(desk)
    desk.call(dispatch)
    assert get(desk, last).state == "queued"


@pytest.mark.parametrize("name", ["price", "start_s", "burst_after_s", "idle_s"])
def test_what_is_no_number_is_refused(desk, name):
    with pytest.raises(Invalid, match="POOL-002") as caught:
        add(desk, **{name: float("nan")})
    assert caught.value.what == f"{name} of cloud is no number"


def test_a_spot_machine_that_is_taken_away_costs_no_retry(desk):
    add(desk, spot=True)
    run = queue(desk, pool="cloud")
    for attempt in range(1, 7):
        desk.call(dispatch)
        desk.call(lambda turn: lose_run(turn, runs.get_run(turn.connection, run.id), "no heartbeat"))
        found = get(desk, run)
        assert (found.state, found.attempt) == ("queued", attempt + 1)
        assert found.attempts[-1].reason == "taken away: no heartbeat"


def test_a_machine_that_starts_slowly_is_given_the_time(desk):
    add(desk, start_s=300)
    run = queue(desk, pool="cloud")
    desk.call(dispatch)
    found = []
    desk.call(lambda turn: found.append(runs.get_held(turn.connection, run.id)[1].lease_until))
    assert found == [desk.clock.monotonic() + START_S + 300]
