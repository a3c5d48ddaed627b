"""What follows from a receiver's answer, for whatever answers in whatever order."""

from hypothesis import given
from hypothesis import strategies as st

from mainspring.domain.sinks import Answered
from mainspring.sinks.decide import FIRST_S, MOST_S, Progress, decide, pause

DRAWS = st.floats(0.0, 1.0, exclude_max=True)
ANSWERS = st.builds(
    Answered,
    st.sampled_from(["accepted", "refused", "failed"]),
    st.just("told"),
    st.none() | st.floats(0.0, 1e9),
)


@given(st.integers(1, 10_000), DRAWS)
def test_a_pause_has_bounds_and_is_shortened_by_a_half_at_most(tries, draw):
    longest = min(FIRST_S * 2.0 ** min(tries - 1, 40), MOST_S)
    assert longest / 2 <= pause(tries, draw) <= longest


@given(st.integers(1, 40), DRAWS)
def test_the_longest_pauses_never_shrink(tries, draw):
    assert pause(tries + 1, draw) >= pause(tries, draw)


def test_pauses_differ_by_the_draw():
    assert len({pause(5, draw / 10) for draw in range(10)}) == 10


@given(st.lists(st.tuples(ANSWERS, DRAWS), max_size=200), st.integers(1, 6))
def test_no_event_is_passed_over_and_none_is_told_too_early(answers, most):
    """Events 1, 2, 3 ... are told in order; each leaves by being accepted, or by being refused often enough."""
    progress, now, refused = Progress(0), 1000.0, 0
    for answer, draw in answers:
        event = progress.position + 1
        decision = decide(progress, event, answer, most, now, draw)
        after = decision.progress
        refused += answer.outcome == "refused"
        if answer.outcome == "accepted":
            assert after == Progress(event)
            assert not decision.set_aside
        elif answer.outcome == "refused" and refused >= most:
            assert after == Progress(event)
            assert decision.set_aside
        else:
            assert not decision.set_aside
            assert (after.position, after.tries) == (progress.position, progress.tries + 1)
            assert now + FIRST_S / 2 <= after.due_at <= now + MOST_S
            if answer.retry_after_s is not None:
                assert after.due_at >= now + min(answer.retry_after_s, MOST_S)
            now = after.due_at
        assert decision.goes_on is (after.position == event)
        if decision.goes_on:
            refused = 0
        progress = after
