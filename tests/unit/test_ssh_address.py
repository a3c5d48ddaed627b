"""Addresses of ssh://: what is none is refused, and no word of one is an option of ssh."""

from pathlib import Path

import pytest

from mainspring.compute.adapters.ssh import read_address
from mainspring.compute.adapters.sshlink import make_command
from mainspring.domain.errors import Invalid

SHARED = "?home=/data"


@pytest.mark.parametrize(
    ("url", "what"),
    [
        (f"ssh://-oProxyCommand=evil/{SHARED}", "no name of a machine"),
        (f"ssh:///{SHARED}", "no name of a machine"),
        (f"ssh://-lroot@box/{SHARED}", "no name of a user"),
        (f"ssh://anna:word@box/{SHARED}", "holds a password"),
        (f"ssh://box:ssh/{SHARED}", "no readable port"),
        (f"ssh://box/folder{SHARED}", "has a path"),
        ("ssh://box/", "one of home= and server="),
        ("ssh://box/?home=/a&server=https://b", "one of home= and server="),
        ("ssh://box/?server=http://b:1&certificate=" + "0" * 64, "server= is https://"),
        ("ssh://box/?server=https://b:1", "server= is https://"),
        ("ssh://box/?home=/a&shell=bash", "are not its own"),
        ("ssh://box/?home=/a&home=/b", "are not its own"),
        ("ssh://box/?home=/a&python=-c", "begins with a minus"),
        ("ssh://box/?home=%00", "are not its own"),
    ],
)
def test_what_is_no_address_is_refused(url, what):
    with pytest.raises(Invalid) as caught:
        read_address(url)
    assert caught.value.code == "WORK-011"
    assert what in caught.value.what
    assert "word" not in caught.value.what.replace("password", "")


def test_a_command_holds_no_word_that_a_shell_or_ssh_could_misread():
    address = read_address("ssh://box/?home=/data&python=/opt/a%20b%3B%20touch%20x%27/python")
    words = make_command(address, Path("/run/user"))
    assert words[-3:-1] == ["--", "box"]
    assert words[-1] == """exec '/opt/a b; touch x'"'"'/python' -P -"""
    assert "StrictHostKeyChecking=yes" in words
    assert "BatchMode=yes" in words
    assert not any(word == "-p" for word in words)
    long = make_command(address, Path("/run") / ("x" * 90))
    assert "ControlPath=none" in long
