"""The decision of a rollout: stages by counts, and never a bad revision upwards."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mainspring.domain.records import Problem, Revision
from mainspring.serving.files import Moments, RevisionStatus
from mainspring.serving.rollouts import Rules, Stage, decide

RULES = Rules()


def make_pair(weight=10):
    return [
        Revision(1, "m@1", "d1", 100 - weight, "live"),
        Revision(2, "m@2", "d2", weight, "canary"),
    ]


def make_status(**fields) -> RevisionStatus:
    return RevisionStatus(**{"state": "ready", "latency_us_p50": 300.0, **fields})


statuses = st.builds(
    RevisionStatus,
    state=st.sampled_from(["loading", "ready", "failed", "retired"]),
    requests=st.integers(0, 300),
    errors=st.integers(0, 50),
    latency_us_p50=st.floats(0, 1e5),
    outputs=st.dictionaries(
        st.just("probability"), st.builds(Moments, st.integers(0, 2000), st.floats(0, 1), st.floats(0, 1))
    ),
)
revisions = st.builds(
    lambda weight, live: [
        *([Revision(1, "m@1", "d1", 100 - weight, "live")] if live else []),
        Revision(2, "m@2", "d2", weight, "canary"),
        Revision(3, "m@3", "d3", 0, "retired"),
    ],
    st.integers(0, 99),
    st.booleans(),
)


@given(revisions, st.dictionaries(st.sampled_from([1, 2]), statuses))
def test_invariants(pair, statistics):
    decision = decide(pair, statistics)
    before = {each.number: each.weight for each in pair}
    canary = statistics.get(2)
    assert set(decision.weights) == set(before)
    assert decision.reason
    assert decision == decide(pair, statistics)
    assert decision.weights[2] >= before[2] or decision.action == "roll_back"
    if decision.action == "hold":
        assert decision.weights == before
    if decision.action in {"advance", "promote"}:
        assert canary is not None
        assert canary.state == "ready"
        assert sum(decision.weights.values()) == 100
        share = canary.errors / max(1, canary.errors + canary.requests)
        beside = statistics.get(1)
        lives = beside.errors / max(1, beside.errors + beside.requests) if beside and 1 in before else 0
        assert canary.errors < RULES.min_errors or share <= RULES.error_share + lives
    if decision.action == "roll_back":
        assert decision.weights[2] == 0
        assert decision.weights.get(1, 100) == 100
    if canary is not None and canary.state == "failed":
        assert decision.action == "roll_back"


@given(st.integers(1, 200))
def test_a_faultless_canary_passes_every_stage(step):
    weight, requests, seen = 0, 0, []
    for _ in range(1000):
        decision = decide(make_pair(weight), {1: make_status(requests=999), 2: make_status(requests=requests)})
        assert decision.action != "roll_back"
        weight = decision.weights[2]
        seen.append(weight)
        if decision.action == "promote":
            break
        requests += step
    assert weight == 100
    assert seen == sorted(seen)
    assert requests >= RULES.stages[-1].requests


def test_stages_by_request_counts():
    def ask(weight, requests):
        return decide(make_pair(weight), {1: make_status(), 2: make_status(requests=requests)})

    assert (ask(0, 0).action, ask(0, 0).weights) == ("advance", {1: 90, 2: 10})
    assert ask(10, 39).action == "hold"
    assert ask(10, 40).weights == {1: 50, 2: 50}
    assert ask(50, 79).action == "hold"
    assert (ask(50, 80).action, ask(50, 80).weights) == ("promote", {1: 0, 2: 100})


def test_errors_latency_drift_and_failed_load_roll_back():
    live = make_status(requests=500, outputs={"p": Moments(5000, 0.2, 0.1, unknown=20)})
    bad = {
        "failed on": make_status(requests=30, errors=4),
        "at the median": make_status(requests=45, latency_us_p50=20_000.0),
        "standard deviations apart": make_status(requests=45, outputs={"p": Moments(900, 0.9, 0.1)}),
        "no number as p in 10.0% of its rows, 1.4% are borne": make_status(
            requests=45, outputs={"p": Moments(900, 0.2, 0.1, unknown=100)}
        ),
        "no number as p in 100.0%": make_status(requests=45, outputs={"p": Moments(0, 0.0, 0.0, unknown=500)}),
        "did not load: no file": RevisionStatus("failed", problem=Problem("SERVE-018", "no file")),
    }
    for text, status in bad.items():
        decision = decide(make_pair(10), {1: live, 2: status})
        assert decision.action == "roll_back", text
        assert decision.weights == {1: 100, 2: 0}
        assert text in decision.reason


def test_few_errors_and_small_latencies_are_borne():
    live = make_status(requests=500, latency_us_p50=100.0)
    assert decide(make_pair(10), {1: live, 2: make_status(requests=20, errors=2)}).action == "hold"
    assert decide(make_pair(10), {1: live, 2: make_status(requests=40, latency_us_p50=4000.0)}).action == "advance"


def test_without_a_live_revision_a_loaded_canary_is_promoted():
    lone = [Revision(1, "m@1", "d1", 0, "canary")]
    assert decide(lone, {}).action == "hold"
    assert decide(lone, {1: make_status()}).weights == {1: 100}
    assert decide([Revision(1, "m@1", "d1", 100, "live")], {}).action == "hold"


def test_own_stages():
    rules = Rules(stages=(Stage(25, 5),))
    assert decide(make_pair(0), {2: make_status()}, rules).weights == {1: 75, 2: 25}
    assert decide(make_pair(25), {2: make_status(requests=5)}, rules).action == "promote"
