"""Data counts as unseen only when lineage proves it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.domain.records import Version
from mainspring.evaluation.unseen import find_seen


def version(name, number=1, ranges=None):
    manifest = {"table": name.partition(".")[0], "predicate": ranges}
    return Version(f"{name}{number}".ljust(32, "0"), "dataset", "p", name, number, f"{name}{number}", manifest)


def part(name, start, until, *, number=1, by="day"):
    return version(name, number, {by: {"from": start, "until": until}})


def test_disjoint_parts_are_unseen_also_of_other_versions():
    recent = part("rows.recent", 10, 20)
    assert find_seen(recent, [part("rows.past", None, 10)]) is None
    assert find_seen(recent, [part("rows.past", None, 10, number=7)]) is None
    assert find_seen(recent, [version("other")]) is None


@pytest.mark.parametrize(
    "read",
    [
        version("rows"),
        part("rows.recent", 10, 20),
        part("rows.past", None, 11),
        part("rows.past", None, 10, by="week"),
        part("rows.recent", 5, None, number=2),
    ],
    ids=["whole", "itself", "overlap", "other column", "open end"],
)
def test_overlaps_are_named(read):
    assert read.reference in find_seen(part("rows.recent", 10, 20), [part("rows.past", None, 10), read])


def test_a_part_of_a_part_is_seen_with_the_part_it_was_cut_from():
    past, inner = part("rows.past", None, 10), part("rows.past.recent", 8, 10)
    assert "overlaps" in find_seen(inner, [past])
    assert "overlaps" in find_seen(past, [inner])
    assert find_seen(part("rows.recent", 10, None), [past, inner]) is None
    twice = version("rows.past.recent", ranges={"day": {"from": None, "until": 10}, "size": {"from": 5, "until": None}})
    assert find_seen(twice, [version("rows.small", ranges={"size": {"from": None, "until": 5}})]) is None


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 5), st.integers(1, 5))
def test_two_ranges_are_unseen_exactly_when_they_share_no_value(a, b, length_a, length_b):
    seen = find_seen(part("rows.a", a, a + length_a), [part("rows.b", b, b + length_b)])
    assert (seen is None) == (not {*range(a, a + length_a)} & {*range(b, b + length_b)})
