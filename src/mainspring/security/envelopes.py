"""Envelopes: content under a key of its own, and that key under one of the home's.

Layout: ``MSE1``, 8 bytes that name the wrapping key, a nonce, the wrapped data key, a nonce, the
content; both parts are AES-256-GCM. The purpose is authenticated with both, so an envelope opens
only as what it was made for.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

import msgspec

from mainspring.domain.errors import Denied, Invalid
from mainspring.domain.home import Home
from mainspring.security.keyfiles import read_or_make

_MARK = b"MSE1"
_ID_BYTES = 8
_NONCE_BYTES = 12
_KEY_BYTES = 32
_WRAPPED_BYTES = _KEY_BYTES + 16
_HEAD_BYTES = len(_MARK) + _ID_BYTES + _NONCE_BYTES + _WRAPPED_BYTES
_ENVIRONMENT = "MAINSPRING_ENVELOPE_KEYS"


class Keyring(msgspec.Struct, frozen=True):
    """The keys that wrap data keys.

    Attributes
    ----------
    keys : dict of bytes to bytes
        Id -> key of 32 bytes; all of them open.
    current : bytes
        Id of the one that wraps now.
    """

    keys: dict[bytes, bytes]
    current: bytes

    def __repr__(self) -> str:
        return f"Keyring({self.current.hex()} of {len(self.keys)})"

    def seal(self, content: bytes, purpose: str) -> bytes:
        """Return the envelope of some bytes.

        Parameters
        ----------
        content : bytes
            What to hide.
        purpose : str
            What it is, such as ``secret:default:database``; needed to open it.

        Notes
        -----
        Guarantees: every envelope has a data key and nonces of its own, from the system's
        randomness; two envelopes of the same content share nothing.
        """
        key = secrets.token_bytes(_KEY_BYTES)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return self._wrap(key, purpose) + nonce + _encrypt(key, nonce, content, purpose.encode())

    def open(self, envelope: bytes, purpose: str) -> bytes:
        """Return what is in an envelope.

        Raises
        ------
        Denied
            SECRET-003 when the key is not here, the envelope was changed, or it was made for
            another purpose.
        """
        key = self._unwrap(envelope, purpose)
        nonce, content = envelope[_HEAD_BYTES : _HEAD_BYTES + _NONCE_BYTES], envelope[_HEAD_BYTES + _NONCE_BYTES :]
        return _decrypt(key, nonce, content, purpose.encode())

    def rewrap(self, envelope: bytes, purpose: str) -> bytes:
        """Return the envelope with its data key under the current key; the content stays as it is.

        Raises
        ------
        Denied
            SECRET-003 as for `open`.
        """
        return self._wrap(self._unwrap(envelope, purpose), purpose) + envelope[_HEAD_BYTES:]

    def _wrap(self, key: bytes, purpose: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        head = _MARK + self.current
        return head + nonce + _encrypt(self.keys[self.current], nonce, key, head + purpose.encode())

    def _unwrap(self, envelope: bytes, purpose: str) -> bytes:
        head = envelope[: len(_MARK) + _ID_BYTES]
        wrapping = self.keys.get(head[len(_MARK) :])
        if not head.startswith(_MARK) or len(envelope) < _HEAD_BYTES + _NONCE_BYTES + 16:
            raise Denied("SECRET-003", f"{len(envelope)} bytes are no envelope")
        if wrapping is None:
            raise Denied("SECRET-003", f"the key {head[len(_MARK) :].hex()} is not here", purpose=purpose)
        rest = envelope[len(head) : _HEAD_BYTES]
        return _decrypt(wrapping, rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], head + purpose.encode())


def open_keyring(home: Home) -> Keyring:
    """Return the keys of a home: those of the environment, else those of its files.

    Returns
    -------
    Keyring
        Of ``MAINSPRING_ENVELOPE_KEYS`` (keys of 64 hexadecimal characters with commas between
        them, the last one wraps), or of ``keys/envelopes/NNNN.key``, where the greatest number
        wraps; the first file is made when there is none.

    Raises
    ------
    Invalid
        HOME-018 when the variable cannot be read; it is not repeated.
    Denied
        HOME-008 when others may read a file.
    """
    text = os.environ.get(_ENVIRONMENT, "")
    keys = _read_environment(text) if text else [read_or_make(path) for path in _list_files(home)]
    named = {name_key(key): key for key in keys}
    return Keyring(named, name_key(keys[-1]))


def add_key(home: Home) -> None:
    """Make the home's next key, which wraps from now on; the earlier ones go on opening.

    Raises
    ------
    Invalid
        HOME-018 when the keys come from the environment: then the new one is added there.
    """
    if os.environ.get(_ENVIRONMENT):
        raise Invalid(
            "HOME-018",
            f"{_ENVIRONMENT} holds the keys",
            fix=f"add a key at the end of {_ENVIRONMENT}, restart, then: mainspring secrets rotate",
        )
    last = _list_files(home)[-1]
    read_or_make(last)
    read_or_make(last.with_name(f"{int(last.stem) + 1:04d}.key"))


def drop_keys(home: Home) -> None:
    """Remove the home's key files but the current one; every envelope must be under that one."""
    for path in _list_files(home)[:-1]:
        path.unlink()


def has_own_keys() -> bool:
    """Tell whether the keys are files of the home, so that it can make the next one itself."""
    return not os.environ.get(_ENVIRONMENT)


def name_key(key: bytes) -> bytes:
    """Return the 8 bytes that name a key, which tell nothing of it."""
    return hashlib.sha256(b"mainspring-key-1\0" + key).digest()[:_ID_BYTES]


def _list_files(home: Home) -> list[Path]:
    found = sorted(home.envelope_keys.glob("[0-9][0-9][0-9][0-9].key"))
    return found or [home.envelope_keys / "0001.key"]


def _read_environment(text: str) -> list[bytes]:
    try:
        keys = [bytes.fromhex(part.strip()) for part in text.split(",")]
    except ValueError:
        keys = []
    if not keys or any(len(key) != _KEY_BYTES for key in keys):
        raise Invalid("HOME-018", f"{_ENVIRONMENT} is not keys of 64 hexadecimal characters") from None
    return keys


def _encrypt(key: bytes, nonce: bytes, content: bytes, purpose: bytes) -> bytes:
    # Not at the top: only who has secrets pays for it.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key).encrypt(nonce, content, _MARK + purpose)


def _decrypt(key: bytes, nonce: bytes, content: bytes, purpose: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(key).decrypt(nonce, content, _MARK + purpose)
    except InvalidTag:
        raise Denied("SECRET-003", "an envelope was changed, or made for something else") from None
