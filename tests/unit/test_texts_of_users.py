"""References, lengths of time and sizes as users write them, to the edges."""

import pytest

from mainspring.domain.errors import Invalid
from mainspring.domain.references import Reference, parse_reference
from mainspring.domain.units import parse_duration, parse_size


@pytest.mark.parametrize("text", ["orders@\u00b2", "orders@0", "orders@" + "9" * 5000, "orders@2026-02-30", "@1", "a@"])
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(Invalid, match="DATA-001"):
        parse_reference(text)


def test_a_name_of_a_model_may_have_spaces_and_that_of_a_dataset_not():
    assert parse_reference("late arrivals@best", "model") == Reference("late arrivals", alias="best")
    with pytest.raises(Invalid, match="DATA-001"):
        parse_reference("late arrivals@best")


def test_a_reference_to_a_day_is_one():
    assert parse_reference("orders@9999-12-31") == Reference("orders", day="9999-12-31")


@pytest.mark.parametrize("text", ["0.5 B", "0", "9" * 400 + " GB", "1 XB", "-1"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(Invalid, match="RUN-004"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0 s", "9" * 400 + " d", "soon"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(Invalid, match="RUN-003"):
        parse_duration(text)


def test_the_smallest_are_taken():
    assert (parse_size("1 B"), parse_duration("1ms")) == (1, 0.001)
