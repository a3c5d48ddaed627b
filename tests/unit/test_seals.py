"""Seals, keys, tokens and the one unpickler."""

import ast
import errno
import os
import pickle
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mainspring
from mainspring.domain.errors import Denied
from mainspring.security.keyfiles import read_or_make
from mainspring.security.seals import Seal, project_seal
from mainspring.security.tokens import digest_token, home_token, is_token
from mainspring.security.unsafe import unpickle

OURS, THEIRS = Seal(b"a" * 32), Seal(b"b" * 32)


class Trap:
    """A pickle that would leave a file behind when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@given(st.binary(max_size=200))
def test_what_was_sealed_opens(content):
    assert OURS.open(OURS.seal(content)) == content


@given(st.binary(max_size=100), st.data())
def test_one_changed_bit_is_refused(content, data):
    sealed = bytearray(OURS.seal(content))
    place = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[place // 8] ^= 1 << place % 8
    with pytest.raises(Denied) as caught:
        OURS.open(bytes(sealed))
    assert caught.value.code == "HOME-012"


@pytest.mark.parametrize("sealed", [b"", b"x" * 31, OURS.seal(b"value")[:-1], THEIRS.seal(b"value"), b"value"])
def test_cut_foreign_and_bare_bytes_are_refused(sealed):
    with pytest.raises(Denied, match="HOME-012"):
        OURS.open(sealed)


def test_a_sealed_value_of_another_key_never_reaches_the_unpickler(tmp_path):
    trap = tmp_path / "trap"
    content = pickle.dumps(Trap(trap))
    with pytest.raises(Denied, match="sealed bytes do not match the project's key"):
        unpickle(THEIRS.seal(content), OURS)
    assert not trap.exists()
    unpickle(OURS.seal(content), OURS)
    assert trap.exists()


def test_a_project_has_one_key_whoever_comes_first(home):
    found = []
    threads = [threading.Thread(target=lambda: found.append(read_or_make(home.project_key))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 1
    assert home.project_key.stat().st_mode & 0o777 == 0o600
    assert list(home.project_key.parent.iterdir()) == [home.project_key]
    assert project_seal(home).open(Seal(found[0]).seal(b"x")) == b"x"


def test_a_key_that_others_may_read_is_refused(home):
    project_seal(home)
    home.project_key.chmod(0o644)
    with pytest.raises(Denied, match="mode 0644"):
        project_seal(home)


def test_the_home_has_one_token(home):
    token = home_token(home)
    assert home_token(home) == token
    assert len(token) == 64
    assert is_token(token, digest_token(token))
    assert not is_token(token[:-1] + ("0" if token[-1] != "0" else "1"), digest_token(token))


def test_only_one_module_unpickles():
    found = set()
    source = Path(mainspring.__file__).parent
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in {"loads", "load", "Unpickler"}:
                owner = node.value.id if isinstance(node.value, ast.Name) else ""
                if owner in {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}:
                    found.add(path.relative_to(source).as_posix())
            if isinstance(node, ast.ImportFrom) and node.module in {"pickle", "cloudpickle"}:
                found |= {
                    path.relative_to(source).as_posix() for a in node.names if a.name in {"loads", "load", "Unpickler"}
                }
    assert found == {"security/unsafe.py"}


def test_a_key_that_cannot_be_written_leaves_nothing(home, monkeypatch):
    def fail(handle, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fail)
        with pytest.raises(OSError, match="No space"):
            project_seal(home)
    assert list(home.project_key.parent.iterdir()) == []
