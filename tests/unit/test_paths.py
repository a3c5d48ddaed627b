"""Paths that others name stay under their root."""

import unicodedata
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.domain.errors import Invalid
from mainspring.security.paths import check_artifact_path, safe_join

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


TRICKS = {
    "..": "leads out of its folder",
    "a/../../b": "leads out of its folder",
    "%2e%2e/secret": "leads out of its folder",
    "%252e%252e/secret": "leads out of its folder",
    "%25252e%25252e%25252fsecret": "leads out of its folder",
    "..%2fsecret": "leads out of its folder",
    "a\\..\\b": "holds a backslash",
    "a%5cb": "holds a backslash",
    "a\0.txt": "holds a character that is not printed",
    "a%00.txt": "holds a character that is not printed",
    "a\nb": "holds a character that is not printed",
    "a\x7fb": "holds a character that is not printed",
    "a\u202etxt.exe": "holds a character that is not printed",
    "a\u200b": "holds a character that is not printed",
    "a\ufffd": "holds a character that is not printed",
    "\ud800": "holds a character that is not printed",
    "/etc/passwd": "is absolute",
    "%2fetc%2fpasswd": "is absolute",
    "//host/share": "is absolute",
    "file:///etc/passwd": "is an address",
    "file:a": "is an address",
    "FILE:a": "is an address",
    "C:/x": "is an address",
    "c:x": "is an address",
    "s3://bucket/key": "is an address",
    "a#b": "holds '#' or ';'",
    "a%23b": "holds '#' or ';'",
    "a;b": "holds '#' or ';'",
    "a/..;/b": "holds '#' or ';'",
    "": "is empty",
    "a//b": "holds an empty part or '.'",
    "a/": "holds an empty part or '.'",
    "./a": "holds an empty part or '.'",
    "\uff0e\uff0e/secret": "leads out of its folder",
    "\u2024\u2024/secret": "leads out of its folder",
    "\u2025/secret": "leads out of its folder",
    "..\uff0fsecret": "leads out of its folder",
    "a\uff3cb": "holds a backslash",
    "a/" * 600 + "b": "is longer than 1,024 bytes",
    "x" * 256: "holds a name of more than 255 bytes",
    "\u00e4" * 128: "holds a name of more than 255 bytes",
}


@pytest.mark.parametrize("path", TRICKS)
def test_each_trick_with_the_path_of_an_artifact_is_refused_by_name(path):
    with pytest.raises(Invalid) as caught:
        check_artifact_path(path)
    assert caught.value.code == "FILE-001"
    assert caught.value.what == f"Invalid path: {path[:200]!r} {TRICKS[path]}"


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "plots/roc curve 100%.png",
        "a%20b",
        "model/MLmodel",
        "10:30.txt",
        "..a/b..",
        "\u00fcber/\u6a21\u578b.bin",
        "...",
    ],
)
def test_what_people_call_files_is_taken_as_it_is(path):
    assert check_artifact_path(path) == path


PIECES = st.sampled_from(
    ["..", ".", "/", "%", "2e", "2f", "5c", "25", "\\", "a", ":", "file", "\0", ";", "\uff0e", "\u2025"]
)


@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join)), st.integers(0, 3))
def test_what_is_taken_leads_nowhere_else_for_any_reader(tmp_path_factory, text, times):
    path = text
    for _ in range(times):
        path = quote(path, safe="")
    try:
        taken = check_artifact_path(path)
    except Invalid:
        return
    assert taken == path
    root = tmp_path_factory.getbasetemp()
    for seen in (path, unquote(path), unquote(unquote(path)), unicodedata.normalize("NFKC", unquote(path))):
        assert root in (root / seen).resolve().parents
        assert "\\" not in seen
        assert "\0" not in seen
