"""Tokens: who holds one may act; only digests are kept where they are compared."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

from mainspring.domain.errors import Denied
from mainspring.domain.home import Home
from mainspring.security.keyfiles import read_or_make

WORKER_PREFIX = "msw_"
"""Before what a worker shows of its attempt."""

_WORKERS = b"mainspring-worker-1\0"
_TOKEN = re.compile(r"msp_([0-9a-f]{16})_[0-9a-f]{64}\Z")


def home_token(home: Home) -> str:
    """Return the home's token for loopback HTTP; its file is made once, mode 0600.

    Raises
    ------
    Denied
        HOME-008 when others may read the file.
    """
    return read_or_make(home.token).hex()


def make_token() -> tuple[str, str]:
    """Make a token of 256 random bits.

    Returns
    -------
    tuple of str and str
        Its id, which is no secret, and the token, which holds the id.
    """
    token_id = secrets.token_hex(8)
    return token_id, f"msp_{token_id}_{secrets.token_hex(32)}"


def worker_token(home: Home, run_id: str, attempt: int) -> str:
    """Return what the worker of an attempt shows; its start names the run.

    Notes
    -----
    Guarantees: made of the home's own token, so that an owner that follows another finds the same,
    and the record needs to hold its digest alone.
    """
    named = f"{run_id}-{attempt}"
    code = hmac.digest(read_or_make(home.token), _WORKERS + named.encode(), "sha256")
    return f"{named}-{code.hex()}"


def read_token_id(token: str) -> str:
    """Return the id within a token.

    Raises
    ------
    Denied
        AUTH-001 when the text has not the form of a token; the text is not repeated.

    Examples
    --------
    >>> read_token_id("msp_" + "0" * 16 + "_" + "a" * 64)
    '0000000000000000'
    """
    match = _TOKEN.match(token)
    if match is None:
        raise Denied("AUTH-001", f"{len(token)} characters that are no token")
    return match[1]


def digest_token(token: str) -> str:
    """Return what is stored of a token, the SHA-256 in 64 hexadecimal characters."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_token(token: str, digest: str) -> bool:
    """Tell whether a token has that digest, in a time that does not depend on where they differ."""
    return hmac.compare_digest(digest_token(token), digest)
