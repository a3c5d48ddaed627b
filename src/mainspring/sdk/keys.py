"""The data keys that a client was given: for who may read what is sensitive."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from mainspring.security.ciphers import Cipher

if TYPE_CHECKING:
    from mainspring.domain.access import DataKey
    from mainspring.domain.command import Command
    from mainspring.sdk.client import Client


class DataKeys:
    """Asks the owner for data keys, each once; who may not read what is sensitive gets none.

    Parameters
    ----------
    client : Client
        What the owner is asked with; it is not kept alive by this.

    Raises
    ------
    Denied
        From every method: AUTH-005, AUTH-006 or AUTH-007 for who may not, SECRET-003 when the key
        that wraps the data keys is lost.
    """

    def __init__(self, client: Client) -> None:
        self._client = weakref.ref(client)  # it holds this, and its sockets are closed with its last reference
        self._ciphers: dict[str, Cipher] = {}
        self._named: dict[str, str] = {}

    def make(self, name: str = "") -> Cipher:
        """Return the key of a name, or without a name a new one."""
        from mainspring.domain.access import MakeDataKey

        if name not in self._named:
            told = self._ask(MakeDataKey(name=name))
            self._ciphers[told.id] = Cipher(told.id, told.key)
            if not name:
                return self._ciphers[told.id]
            self._named[name] = told.id
        return self._ciphers[self._named[name]]

    def open(self, id: str) -> Cipher:  # noqa: A002
        """Return the key of an id.

        Raises
        ------
        NotFound
            SECRET-006 when the project has no such key.
        """
        from mainspring.domain.access import UseDataKey

        if id not in self._ciphers:
            self._ciphers[id] = Cipher(id, self._ask(UseDataKey(id=id)).key)
        return self._ciphers[id]

    def forget(self) -> None:
        """Forget all keys: they were given to somebody else."""
        self._ciphers.clear()
        self._named.clear()

    def _ask(self, command: Command) -> DataKey:
        client = self._client()
        assert client is not None
        told: DataKey = client.ask(command, token=client.authority)
        return told
