"""Where a home lies: network file systems, long socket paths, other people's folders."""

import os
from pathlib import Path

import pytest

from mainspring.domain.errors import Denied, Invalid
from mainspring.sdk.connect import connect
from mainspring.sdk.homes import current_home, current_project
from mainspring.store.homes import is_network, make_private, place_home

MOUNTS = """\
/dev/vda1 / ext4 rw 0 0
filer:/home /home nfs4 rw,vers=4.2 0 0
/dev/vdb1 /home/local xfs rw 0 0
//win/share /mnt/win\\040share cifs rw 0 0
filer:/daten /mnt/données nfs rw 0 0
tmpfs /tmp tmpfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "network"),
    [
        ("/srv/home", False),
        ("/home/anna/.local/state/mainspring", True),
        ("/home/local/anna", False),
        ("/home2/anna", False),
        ("/mnt/win share/x", True),
        ("/mnt/win", False),
        ("/mnt/données/anna", True),
    ],
)
def test_the_deepest_mount_decides(path, network):
    assert is_network(Path(path), MOUNTS) is network


def test_a_network_home_keeps_its_metadata_on_this_node(tmp_path):
    home = place_home(Path("/home/anna/mainspring"), mounts=MOUNTS, local=tmp_path)
    assert home.root == Path("/home/anna/mainspring")
    assert home.state.is_relative_to(tmp_path)
    assert home.metadata.parent == home.state
    assert home.socket.is_relative_to(tmp_path) or home.socket.is_relative_to("/tmp")
    assert home.blobs.is_relative_to(home.root)
    assert home == place_home(Path("/home/anna/mainspring"), mounts=MOUNTS, local=tmp_path)
    assert home.state != place_home(Path("/home/anna/other"), mounts=MOUNTS, local=tmp_path).state


def test_a_local_home_keeps_everything_together():
    home = place_home(Path("/srv/ms"), mounts=MOUNTS)
    assert home.state == home.runtime == home.root == Path("/srv/ms")


def test_the_socket_of_a_deep_home_has_a_short_path():
    home = place_home(Path("/srv") / ("x" * 120), mounts=MOUNTS)
    assert len(os.fsencode(home.socket)) <= 100
    assert home.state == home.root


def test_the_socket_folder_must_be_ours(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(Denied, match="HOME-008"):
        make_private(tmp_path / "link")
    (tmp_path / "file").write_text("")
    with pytest.raises(Denied, match="not a folder of this user"):
        make_private(tmp_path / "file")
    make_private(tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder").stat().st_mode & 0o777 == 0o700
    make_private(tmp_path / "new" / "folder")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a folder of another user")
def test_a_socket_folder_of_another_user_is_refused(tmp_path):
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 12345, 12345)
    with pytest.raises(Denied, match="HOME-008"):
        make_private(tmp_path / "theirs")


def test_the_environment_names_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("MAINSPRING_HOME", str(tmp_path / "a"))
    assert current_home().root == tmp_path / "a"
    monkeypatch.delenv("MAINSPRING_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert current_home().root == tmp_path / "state" / "mainspring"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert current_home().root == tmp_path / ".local" / "state" / "mainspring"


def test_connect_chooses_a_local_home_and_refuses_others(monkeypatch, tmp_path):
    monkeypatch.setenv("MAINSPRING_HOME", "/nowhere")
    monkeypatch.setenv("MAINSPRING_URL", "https://example.com")
    connect(f"file://{tmp_path}/b")
    assert current_home().root == tmp_path / "b"
    connect()
    assert current_home().root == tmp_path / "b"
    monkeypatch.setenv("MAINSPRING_PROJECT", "")
    connect(project="rail")
    assert current_project() == "rail"
    for given in ({"url": "ftp://example.com"}, {"token": "secret"}):
        with pytest.raises(Invalid) as caught:
            connect(**given)
        assert caught.value.code == "HOME-017"
        assert "secret" not in str(caught.value)
