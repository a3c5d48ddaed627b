"""Profiles: bins, blocks, merging."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.domain.errors import Invalid
from mainspring.monitoring.profiles import Profile, find_bins, fit_binning, make_profile, merge_profiles

DAY_S = 86_400.0


def test_bins_of_a_number_have_like_shares_and_a_bin_for_missing():
    values = np.random.default_rng(1).lognormal(size=10_000)
    binning = fit_binning(values)
    shares = np.bincount(find_bins(binning, values), minlength=binning.size) / len(values)
    assert binning.kind == "number"
    assert shares[-1] == 0
    assert np.ptp(shares[:-1]) < 0.01
    assert find_bins(binning, np.array([np.nan, -1e9, 1e9])).tolist() == [binning.size - 1, 0, binning.size - 2]
    assert len(binning.labels) == binning.size


def test_few_distinct_numbers_get_a_bin_each():
    binning = fit_binning(np.array([1, 2, 2, 7, 7, 7], dtype=np.float32))
    assert find_bins(binning, np.array([1, 2, 7])).tolist() == [0, 1, 2]


def test_categories_keep_the_frequent_levels():
    values = np.array(["b", "a", "b", None, "c", "b", "a"], dtype=object)
    binning = fit_binning(values, max_bins=2)
    assert binning.levels == ("b", "a")
    assert find_bins(binning, np.array(["a", "b", "c", "new", None], dtype=object)).tolist() == [1, 0, 2, 2, 3]
    assert binning.labels == ["b", "a", "other", "missing"]


def test_a_profile_travels_as_json():
    profile = make_profile({"x": np.arange(100.0), "c": np.array(["u", "v"] * 50)}, np.arange(100) * DAY_S / 10)
    again = msgspec.json.decode(msgspec.json.encode(profile), type=Profile)
    assert again == profile
    assert profile.blocks == list(range(10))
    assert profile.table("x").sum() == 100


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 200), st.integers(0, 2**32 - 1))
def test_profiles_of_two_parts_add_up_to_the_profile_of_the_whole(cut, seed):
    draw = np.random.default_rng(seed)
    x, times = draw.normal(size=200), draw.uniform(0, 20 * DAY_S, size=200)
    x[draw.integers(200, size=5)] = np.nan
    whole = make_profile({"x": x}, times)
    parts = [make_profile({"x": x[part]}, times[part], binnings=whole.binnings) for part in (np.s_[:cut], np.s_[cut:])]
    assert merge_profiles(*parts) == whole


def test_profiles_of_other_bins_are_refused():
    first = make_profile({"x": np.arange(50.0)}, np.arange(50.0))
    second = make_profile({"x": np.arange(90.0)}, np.arange(90.0))
    with pytest.raises(Invalid) as error:
        merge_profiles(first, second)
    assert error.value.code == "MON-002"


def test_a_missing_column_is_named():
    profile = make_profile({"x": np.arange(50.0)}, np.arange(50.0))
    with pytest.raises(Invalid, match="'x'") as error:
        make_profile({"y": np.arange(5.0)}, np.arange(5.0), binnings=profile.binnings)
    assert error.value.code == "MON-001"
