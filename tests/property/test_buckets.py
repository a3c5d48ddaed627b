"""Patterns of objects: what they mean is what a shell means, and no approval lets out more than it names."""

import glob
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.domain.errors import Denied, Invalid
from mainspring.store.buckets import SETTING, check_approved, parse_pattern

NAMES = ("a", "b", "ab", "a.csv")
PARTS = (*NAMES, "*", "a*", "?", "[ab]", "*.csv", "**")
keys = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join)
patterns = st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map("/".join)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Folders of all names four deep, each with files in it."""
    root = tmp_path_factory.mktemp("tree")
    for depth in ("", "a", "b", "a/b", "a/a", "b/ab", "a/b/ab", "b/ab/a"):
        folder = root / depth
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("a.csv", "ab.csv", "c"):
            (folder / name).touch()
    return root


def _list(tree, pattern):
    """Return the files that a shell would name."""
    found = glob.iglob(f"{tree}/{pattern}", recursive=True)  # noqa: PTH207 - it is what folders are read by
    return {str(Path(each).relative_to(tree)) for each in found if Path(each).is_file() and not each.endswith("/")}


@settings(max_examples=300, deadline=None)
@given(pattern=patterns)
def test_a_pattern_means_what_it_means_in_a_folder(tree, pattern):
    wanted, every = _list(tree, pattern), _list(tree, "**")
    read = parse_pattern(f"s3://bucket/{pattern}")
    assert {key for key in every if read.matches(key)} == wanted


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["s3://one", "s3://one/a", "s3://one/a/b", "gs://one", "s3://two"]), patterns, keys)
def test_what_is_approved_lets_nothing_else_be_seen(place, pattern, key):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SETTING, place)
        try:
            approved = check_approved(f"s3://one/{pattern}")
        except Denied:
            return
    assert place.startswith("s3://one")
    within = place.removeprefix("s3://one").lstrip("/")
    if approved.matches(key):
        assert not within or key == within or key.startswith(f"{within}/")


def test_no_pattern_takes_long():
    many = parse_pattern("s3://bucket/" + "/".join(["**", "a*a*a*a*a*b"] * 40))
    assert not many.matches("/".join(["a" * 200] * 200))


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("http://bucket/in", "RENEW-004: files of 'http' are not watched: a path, s3://, gs:// or az://"),
        ("s3://bucket/a/../b", "RENEW-004: 'a/../b' names no objects of a bucket"),
        ("s3://bucket/a//b", "RENEW-004: 'a//b' names no objects of a bucket"),
        ("s3://bucket/" + "x" * 1025, "RENEW-004: 'xxx"),
        ("s3:///in", "BLOB-001: 's3://' names no bucket"),
        ("s3://anna:canary@bucket/in", "BLOB-001: an address with a user or options in it names no bucket"),
    ],
)
def test_what_is_no_place_of_a_bucket_is_named(path, told):
    with pytest.raises(Invalid) as caught:
        parse_pattern(path)
    assert f"{caught.value.code}: {caught.value.what}".startswith(told)
    assert "canary" not in str(caught.value)
