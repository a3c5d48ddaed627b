"""Ciphers: what a data key does to bytes, and to digests that must not confirm a guess."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from mainspring.domain.errors import Denied

KEY_BYTES = 32
_NONCE_BYTES = 12
_DIGESTS = b"mainspring-digest-1"


class Cipher:
    """Seals and opens with one data key, AES-256-GCM.

    Parameters
    ----------
    id : str
        Names the key.
    key : bytes
        32 bytes, secret.

    Notes
    -----
    Guarantees: each sealing has a nonce of its own from the system's randomness, so equal bytes
    are sealed differently. By the birthday bound a key seals at most 2**32 times. Cost: some 1 us
    for a short text.

    Examples
    --------
    >>> cipher = Cipher("1", b"k" * 32)
    >>> list(cipher.open(cipher.seal([b"value", None], b"cell"), b"cell"))
    [b'value', None]
    """

    def __init__(self, id: str, key: bytes) -> None:  # noqa: A002
        self.id = id
        self._key = key

    def __repr__(self) -> str:
        return f"Cipher({self.id})"

    def seal(self, contents: Iterable[bytes | None], purpose: bytes) -> Iterator[bytes | None]:
        """Yield each content sealed; None stays None."""
        seal = self._sealer.encrypt
        for content in contents:
            nonce = os.urandom(_NONCE_BYTES)
            yield None if content is None else nonce + seal(nonce, content, purpose)

    def open(self, contents: Iterable[bytes | None], purpose: bytes) -> Iterator[bytes | None]:
        """Yield what was sealed.

        Raises
        ------
        Denied
            SECRET-003 for bytes that were changed, or sealed with another key or for another purpose.
        """
        from cryptography.exceptions import InvalidTag

        unseal = self._sealer.decrypt
        try:
            for content in contents:
                yield None if content is None else unseal(content[:_NONCE_BYTES], content[_NONCE_BYTES:], purpose)
        except (InvalidTag, ValueError):
            raise Denied("SECRET-003", f"sealed bytes do not open with the data key {self.id}") from None

    def digest(self, text: str) -> str:
        """Return a digest in 64 hexadecimal characters that nobody without the key can compare with a guess."""
        return hmac.new(self._digests, text.encode(), hashlib.sha256).hexdigest()

    @cached_property
    def _sealer(self) -> Any:
        # Not at the top: only who reads what is sensitive pays for it.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._key)

    @cached_property
    def _digests(self) -> bytes:
        return hmac.digest(self._key, _DIGESTS, "sha256")
