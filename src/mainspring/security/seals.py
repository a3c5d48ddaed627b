"""Seals: a value that was pickled in this project can be told from any other bytes."""

from __future__ import annotations

import hashlib
import hmac

from mainspring.domain.errors import Denied
from mainspring.domain.home import Home
from mainspring.security.keyfiles import read_or_make

_MARK = b"mainspring-seal-1\0"
_MAC_BYTES = 32


class Seal:
    """Seals bytes with a key and opens only what was sealed with the same key.

    Parameters
    ----------
    key : bytes
        At least 16 bytes, secret.

    Examples
    --------
    >>> seal = Seal(b"k" * 32)
    >>> seal.open(seal.seal(b"value"))
    b'value'
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < 16:
            raise ValueError("a seal's key has at least 16 bytes")
        self._key = key

    def seal(self, content: bytes) -> bytes:
        """Return the bytes with their code in front."""
        return self._code(content) + content

    def open(self, sealed: bytes) -> bytes:
        """Return the bytes that were sealed.

        Raises
        ------
        Denied
            HOME-012 when the bytes were sealed with another key, changed or cut.
        """
        code, content = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not hmac.compare_digest(code, self._code(content)):
            raise Denied("HOME-012", f"{len(sealed):,} sealed bytes do not match the project's key")
        return content

    def _code(self, content: bytes) -> bytes:
        code = hmac.new(self._key, _MARK, hashlib.sha256)
        code.update(content)
        return code.digest()


def project_seal(home: Home) -> Seal:
    """Return the seal of a home's project; the key file is made once, mode 0600.

    Raises
    ------
    Denied
        HOME-008 when others may read the key file.
    """
    return Seal(read_or_make(home.project_key))
