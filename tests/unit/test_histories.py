"""The history checker finds each fault in a history made by hand, and none in a good one."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from tests.support.histories import Call, Entry, Held, History, Seen, find_faults

GOOD_CALLS = [Call("begin a", 0, 2, "run 1"), Call("begin b", 1, 3, None, "HOME-030"), Call("begin c", 4, 9, None)]
GOOD_SEEN = [
    Seen("run 1", 0, 1, 1, "queued"),
    Seen("run 1", 2, 3, 1, "running"),
    Seen("run 1", 4, 5, 2, "queued"),  # lost, and in line again
    Seen("run 1", 6, 7, 2, "succeeded"),
    Seen("run 1", 4.5, 8, 2, "queued"),  # asked before the end was told
    Seen("dataset sales", 0, 1, 1),
    Seen("dataset sales", 2, 3, 1),
    Seen("dataset sales", 4, 5, 3),
]
GOOD_HELD = [Held("loop", "one", 0, 4, 1), Held("loop", "two", 5, 7, 2), Held("loop", "two", 7, 9, 2)]
GOOD = History(GOOD_CALLS, GOOD_SEEN, GOOD_HELD)
RECORD = [Entry("begin a", "run 1"), Entry("begin c", "run 3")]


def find(history, record=None):
    return [(fault.kind, fault.subject) for fault in find_faults(history, record)]


@pytest.mark.parametrize("record", [RECORD, RECORD[:1], [*RECORD, Entry("begin b", "run 2")]])
def test_a_good_history_has_no_fault(record):
    """What was refused or never answered may have happened, or not."""
    assert find_faults(GOOD, record) == []


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        ([], ("lost", "begin a")),
        ([Entry("begin a", "run 7")], ("lost", "begin a")),
        ([*RECORD, Entry("begin a", "run 7")], ("duplicate", "begin a")),
        ([*RECORD, Entry("begin c", "run 7")], ("duplicate", "begin c")),
        ([*RECORD, Entry("begin d", "run 7")], ("invented", "begin d")),
    ],
)
def test_a_record_that_differs(record, fault):
    assert find(GOOD, record) == [fault]


@pytest.mark.parametrize(
    ("call", "subject"),
    [(Call("begin a", 5, 6, "run 7"), "begin a"), (Call("begin d", 5, 6, "run 1"), "run 1")],
    ids=["two answers to one", "one answer to two"],
)
def test_answers_that_contradict_each_other(call, subject):
    assert find(History([*GOOD_CALLS, call])) == [("duplicate", subject)]


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        (Seen("run 1", 8, 9, 1, "succeeded"), "backwards"),
        (Seen("run 1", 8, 9, 2, "running"), "moved back"),
        (Seen("run 1", 8, 9, 2, "failed"), "moved back"),
        (Seen("run 1", 4.5, 9, 2, "failed"), "moved back"),  # at one time, but one run has one end
        (Seen("dataset sales", 6, 7, 2), "backwards"),
    ],
)
def test_numbers_and_states_that_move_back(seen, kind):
    assert find(History(seen=[*GOOD_SEEN, seen])) == [(kind, seen.subject)]


@pytest.mark.parametrize(
    ("held", "kind"),
    [
        (Held("loop", "one", 8, 8, 1), "two holders"),
        (Held("loop", "one", 3, 6, 1), "two holders"),
        (Held("loop", "one", 10, 11, 1), "backwards"),
        (Held("loop", "three", 10, 11, 2), "backwards"),
    ],
)
def test_leases_of_two(held, kind):
    assert (kind, "loop") in find(History(held=[*GOOD_HELD, held]))


def test_one_that_acts_on_while_others_come_and_go():
    held = [Held("run", "old", 0, 10, 1), Held("run", "new", 2, 3, 2), Held("run", "newer", 5, 6, 3)]
    assert find(History(held=held)) == [("two holders", "run"), ("two holders", "run")]


@given(some.lists(some.tuples(some.integers(0, 5), some.integers(0, 4)), min_size=2))
def test_in_a_sequence_every_step_back_is_found(steps):
    """One client that sees one thing after another: a fault for each that is behind one before it."""
    seen = [Seen("x", 2 * at, 2 * at + 1, number) for at, (number, _) in enumerate(steps)]
    behind = [at for at in range(1, len(steps)) if steps[at][0] < max(number for number, _ in steps[:at])]
    assert len(find_faults(History(seen=seen))) == len(behind)
