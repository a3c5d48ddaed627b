"""Tokens: who holds one may act; only digests are kept where they are compared."""

from __future__ import annotations

import hashlib
import hmac

from mainspring.domain.home import Home
from mainspring.security.keyfiles import read_or_make


def home_token(home: Home) -> str:
    """Return the home's token for loopback HTTP; its file is made once, mode 0600.

    Raises
    ------
    Denied
        HOME-008 when others may read the file.
    """
    return read_or_make(home.token).hex()


def digest_token(token: str) -> str:
    """Return what is stored of a token, the SHA-256 in 64 hexadecimal characters."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_token(token: str, digest: str) -> bool:
    """Tell whether a token has that digest, in a time that does not depend on where they differ."""
    return hmac.compare_digest(digest_token(token), digest)
