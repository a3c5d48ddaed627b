"""Passwords of users: kept as digests that are slow to guess from, compared in a time that tells nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from mainspring.domain.errors import Invalid

LEAST = 12
"""Characters of a password, at least."""

MOST = 1_000

_PASSES, _LANES, _KIB = 2, 1, 19_456
"""Of Argon2id, from OWASP's Password Storage Cheat Sheet, 2023."""

_SCRYPT = {"n": 2**15, "r": 8, "p": 3}
"""The same sheet's second choice: 32 MiB."""

_SCRYPT_BYTES = 2**26
_SCRYPT_NAME = "$scrypt$ln=15,r=8,p=3$"


def digest_password(password: str) -> str:
    """Return what is kept of a password, with its salt and the way it was made.

    Parameters
    ----------
    password : str
        12 to 1,000 characters.

    Raises
    ------
    Invalid
        AUTH-020 when it is too short or too long.

    Notes
    -----
    Cost: some 50 ms and 19 MiB, so that guessing costs as much.
    """
    if not LEAST <= len(password) <= MOST:
        raise Invalid("AUTH-020", f"a password of {len(password):,} characters; {LEAST} to {MOST:,} are taken")
    salt = secrets.token_bytes(16)
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

        slow = Argon2id(salt=salt, length=32, iterations=_PASSES, lanes=_LANES, memory_cost=_KIB)
        return str(slow.derive_phc_encoded(password.encode()))
    except (ImportError, AttributeError, UnsupportedAlgorithm):  # an OpenSSL before 3.2, or made without it
        return f"{_SCRYPT_NAME}{_write(salt)}${_write(_scrypt(password, salt))}"


def is_password(password: str, digest: str) -> bool:
    """Tell whether a digest was made of a password; one that this machine cannot read was not."""
    if digest.startswith(_SCRYPT_NAME):
        salt, _, code = digest.removeprefix(_SCRYPT_NAME).partition("$")
        return hmac.compare_digest(_scrypt(password, _read(salt)), _read(code))
    if not digest.startswith("$argon2id$"):
        return False
    try:
        from cryptography.exceptions import InvalidKey, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

        Argon2id.verify_phc_encoded(password.encode(), digest)
    except (ImportError, AttributeError, InvalidKey, UnsupportedAlgorithm, ValueError):
        return False
    return True


def is_digest(text: str) -> bool:
    """Tell whether a text has the form of what `digest_password` makes: no other way of making one is taken."""
    argon2id = f"$argon2id$v=19$m={_KIB},t={_PASSES},p={_LANES}$"
    return len(text) < 200 and text.startswith((argon2id, _SCRYPT_NAME)) and text.isascii() and text.isprintable()


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, dklen=32, maxmem=_SCRYPT_BYTES, **_SCRYPT)


def _write(content: bytes) -> str:
    return base64.b64encode(content).decode().rstrip("=")


def _read(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
