"""The pruning rules, as properties over curves."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.tuning.pruners import decide

VALUES = st.floats(-1, 1, allow_nan=False)
CURVES = st.lists(VALUES, min_size=1, max_size=6).map(lambda values: [(step, v) for step, v in enumerate(values)])
PEERS = st.lists(CURVES, max_size=12)


@given(CURVES, PEERS, st.sampled_from(["asha", "median"]))
def test_a_curve_above_every_peer_is_kept(curve, peers, pruner):
    best = [(step, 2.0) for step, _ in curve]
    assert decide(pruner, "max", best, peers) is None


@given(CURVES, st.lists(CURVES, min_size=6, max_size=12), st.sampled_from(["asha", "median"]))
def test_a_curve_below_every_peer_is_given_up_at_its_first_report(curve, peers, pruner):
    worst = [(step, -2.0) for step, _ in curve]
    assert decide(pruner, "max", worst, peers) == 0


@given(CURVES, PEERS, st.sampled_from(["asha", "median", "none"]))
def test_min_is_max_of_the_negated(curve, peers, pruner):
    negated = [(step, -v) for step, v in curve]
    negated_peers = [[(step, -v) for step, v in peer] for peer in peers]
    assert decide(pruner, "max", curve, peers) == decide(pruner, "min", negated, negated_peers)


@given(CURVES, PEERS, st.randoms())
def test_the_order_of_peers_does_not_matter(curve, peers, random):
    shuffled = list(peers)
    random.shuffle(shuffled)
    assert decide("asha", "max", curve, peers) == decide("asha", "max", curve, shuffled)


@given(CURVES, PEERS)
def test_more_reports_never_change_an_earlier_decision(curve, peers):
    decided = decide("asha", "max", curve, peers)
    if decided is not None:
        until = [point for point in curve if point[0] <= decided]
        assert decide("asha", "max", until, peers) == decided


def test_few_peers_and_nan_give_nothing_up():
    assert decide("asha", "max", [(0, -1.0)], [[(0, 1.0)]] * 3) is None
    assert decide("asha", "max", [(0, math.nan)], [[(0, 1.0)]] * 9) is None


@pytest.mark.parametrize(("pruner", "better", "decided"), [("asha", 2, None), ("asha", 3, 0), ("median", 4, None)])
def test_how_many_better_peers_it_takes(pruner, better, decided):
    peers = [[(0, 1.0)]] * better + [[(0, -1.0)]] * (8 - better)
    assert decide(pruner, "max", [(0, 0.0)], peers) == decided
