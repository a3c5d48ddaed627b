"""Envelopes open only with their key, whole, and as what they were made for."""

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.domain.errors import Denied, Invalid
from mainspring.security.envelopes import Keyring, add_key, drop_keys, name_key, open_keyring

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


def make_ring(*keys):
    return Keyring({name_key(key): key for key in keys}, name_key(keys[-1]))


RING = make_ring(KEY)


@given(st.binary(max_size=300), st.text(max_size=30))
def test_what_was_sealed_opens(content, purpose):
    assert RING.open(RING.seal(content, purpose), purpose) == content


def test_two_envelopes_of_one_content_share_nothing():
    made = {RING.seal(b"the same content", "x") for _ in range(200)}
    nonces = {(each[12:24], each[72:84]) for each in made}
    assert len(made) == len({first for first, _ in nonces}) == len({second for _, second in nonces}) == 200
    assert all(b"content" not in each for each in made)


def test_every_flipped_bit_and_every_cut_is_refused():
    envelope = RING.seal(b"value", "secret:default:db")
    for at in range(len(envelope)):
        changed = bytearray(envelope)
        changed[at] ^= 1
        with pytest.raises(Denied, match="SECRET-003"):
            RING.open(bytes(changed), "secret:default:db")
        with pytest.raises(Denied, match="SECRET-003"):
            RING.open(envelope[:at], "secret:default:db")


def test_another_purpose_and_another_key_are_refused():
    envelope = RING.seal(b"value", "secret:default:db")
    with pytest.raises(Denied, match="SECRET-003"):
        RING.open(envelope, "secret:rail:db")
    with pytest.raises(Denied, match="SECRET-003"):
        RING.rewrap(envelope, "secret:rail:db")
    with pytest.raises(Denied) as caught:
        make_ring(OTHER).open(envelope, "secret:default:db")
    assert name_key(KEY).hex() in caught.value.what


def test_a_rotation_leaves_the_content_as_it_is():
    envelope = RING.seal(b"value", "x")
    rewrapped = make_ring(KEY, OTHER).rewrap(envelope, "x")
    assert rewrapped[72:] == envelope[72:]
    assert make_ring(OTHER).open(rewrapped, "x") == b"value"
    with pytest.raises(Denied):
        RING.open(rewrapped, "x")


def test_keys_are_private_files_made_once_and_rotated(home):
    first = open_keyring(home)
    assert open_keyring(home) == first
    (path,) = home.envelope_keys.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    envelope = first.seal(b"value", "x")
    add_key(home)
    second = open_keyring(home)
    assert second.current != first.current
    assert second.open(envelope, "x") == b"value"
    drop_keys(home)
    assert list(open_keyring(home).keys) == [second.current]
    (home.envelope_keys / "0002.key").chmod(0o644)
    with pytest.raises(Denied, match="HOME-008"):
        open_keyring(home)


def test_keys_of_the_environment_come_first(home, monkeypatch):
    monkeypatch.setenv("MAINSPRING_ENVELOPE_KEYS", f"{KEY.hex()}, {OTHER.hex()}")
    ring = open_keyring(home)
    assert ring.current == name_key(OTHER)
    assert ring.open(RING.seal(b"value", "x"), "x") == b"value"
    assert not home.envelope_keys.exists()
    with pytest.raises(Invalid, match="HOME-018"):
        add_key(home)


@pytest.mark.parametrize("text", ["x", "00", f"{KEY.hex()},", f"{KEY.hex()}00"])
def test_a_variable_that_is_no_keys_is_named_and_not_repeated(home, monkeypatch, text):
    monkeypatch.setenv("MAINSPRING_ENVELOPE_KEYS", text)
    with pytest.raises(Invalid) as caught:
        open_keyring(home)
    assert caught.value.code == "HOME-018"
    assert KEY.hex() not in str(caught.value)


def test_a_keyring_does_not_print_its_keys():
    assert KEY.hex() not in repr(RING)
    assert repr(KEY)[2:20] not in repr(RING)
