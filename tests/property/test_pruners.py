"""The pruning rules, as properties over curves."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.tuning.pruners import decide as decide_cut
from mainspring.tuning.pruners import find_bracket, list_brackets, make_peers

VALUES = st.floats(-1, 1, allow_nan=False)
CURVES = st.lists(VALUES, min_size=1, max_size=6).map(lambda values: [(step, v) for step, v in enumerate(values)])
PEERS = st.lists(CURVES, max_size=12)


def decide(pruner, mode, curve, peers, number=0):
    """Return the step at which a curve is given up beside these curves."""
    known = make_peers(pruner, mode)
    for at, peer in enumerate(peers):
        known.add(at, peer)
    cut = decide_cut(pruner, curve, known, number)
    return None if cut is None else cut.step


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


@given(VALUES, VALUES, st.integers(0, 5), PEERS, st.sampled_from(["asha", "median", "hyperband"]))
def test_nobody_is_kept_who_is_worse_than_one_given_up(one, two, step, peers, pruner):
    """Of two trials that differ at one report, the worse one is not promoted past the better one."""
    worse, better = sorted([one, two])
    curves = [[*((at, 1.0) for at in range(step)), (step, value)] for value in (worse, better)]
    kept = [decide(pruner, "max", curve, peers) is None for curve in curves]
    assert kept[1] or not kept[0]


@given(st.integers(1, 2000))
def test_the_brackets_of_hyperband_cost_about_the_same(longest):
    brackets = list_brackets(longest)
    budget = len(brackets) * longest
    for bracket in brackets:
        alive, before, spent = bracket.trials, 0, 0
        for rung in (*bracket.rungs, longest):
            spent += alive * (rung - before)
            alive, before = alive // 3, rung
        rounding = (longest + len(brackets)) * (1 + len(bracket.rungs))
        assert spent <= budget + rounding
        assert list(bracket.rungs) == sorted(bracket.rungs)
        assert all(1 <= rung <= longest for rung in bracket.rungs)
    assert [len(bracket.rungs) for bracket in brackets] == list(range(len(brackets) - 1, -1, -1))
    assert brackets[0].trials >= brackets[-1].trials


@given(st.integers(1, 500), st.integers(0, 10_000))
def test_every_trial_has_one_bracket_and_each_bracket_its_share(longest, first):
    brackets = list_brackets(longest)
    cycle = sum(bracket.trials for bracket in brackets)
    dealt = [find_bracket(first + at, longest) for at in range(cycle)]
    assert [dealt.count(at) for at in range(len(brackets))] == [bracket.trials for bracket in brackets]


def test_hyperband_gives_up_at_its_rungs_and_within_its_bracket_only():
    longest = 9
    assert [(each.trials, each.rungs) for each in list_brackets(longest)] == [(9, (1, 3)), (5, (3,)), (3, ())]
    peers = [[(step, 1.0 + number) for step in range(longest)] for number in range(17)]
    worst = [(step, 0.0) for step in range(longest)]
    assert decide("hyperband", "max", worst, peers, number=17) == 0  # the first bracket once more
    assert decide("hyperband", "max", worst, peers, number=26) == 2
    assert decide("hyperband", "max", worst, peers, number=31) is None
    at_first = [(0, -1.0), *((step, 99.0) for step in range(1, longest))]
    assert decide("hyperband", "max", at_first, peers, number=26) is None


@given(st.lists(st.tuples(st.integers(0, 30), CURVES), max_size=10), st.sampled_from(["asha", "hyperband"]))
def test_peers_that_grow_answer_as_those_that_were_there_from_the_beginning(trials, pruner):
    grown, whole = make_peers(pruner, "max"), make_peers(pruner, "max")
    for number, curve in trials:
        whole.add(number, curve)
    for number, curve in trials:
        grown.rank(number, 0)
        grown.rank(3, 2)
        grown.add(number, curve)
    for step in range(6):
        assert [grown.rank(number, step) for number in range(31)] == [whole.rank(number, step) for number in range(31)]
    assert len(grown) == len({number for number, _ in trials})
