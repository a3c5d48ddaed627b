"""Paths that others name stay under their root."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.domain.errors import Invalid
from mainspring.security.paths import safe_join

BAD = [
    "",
    ".",
    "..",
    "/etc/passwd",
    "a/../b",
    "../a",
    "a//b",
    "a/",
    "a\0b",
    "a\\b",
    "C:/x",
    "c:x",
    "//host/share",
    "a/./b",
]


@pytest.mark.parametrize("relative", BAD)
def test_a_path_that_is_not_plain_and_relative_is_refused(tmp_path, relative):
    with pytest.raises(Invalid) as caught:
        safe_join(tmp_path, relative)
    assert caught.value.code == "HOME-011"
    assert repr(relative) in caught.value.what


def test_a_link_out_of_the_root_is_refused(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    (root / "in").symlink_to(root)
    with pytest.raises(Invalid, match="through a link"):
        safe_join(root, "out/secret")
    assert safe_join(root, "in/file") == root / "in" / "file"


@given(st.text(min_size=1, max_size=40))
def test_whatever_is_accepted_lies_below_the_root(tmp_path_factory, text):
    root = tmp_path_factory.getbasetemp()
    try:
        joined = safe_join(root, text)
    except (Invalid, UnicodeEncodeError):
        return
    assert joined.resolve().is_relative_to(root.resolve())
    assert joined != root
