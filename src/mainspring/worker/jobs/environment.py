"""The job ``environment``: requirements become a lock."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from mainspring.compute.adapters import uv
from mainspring.compute.environments import list_constraints
from mainspring.domain.environments import Locked
from mainspring.sdk.blobs import store_plainly
from mainspring.sdk.log import log

if TYPE_CHECKING:
    from mainspring.sdk.client import Client


def lock(arguments: dict[str, Any], client: Client) -> dict[str, Any]:
    """Resolve requirements for this interpreter, and keep the lock.

    Parameters
    ----------
    arguments : dict
        ``packages``, a list of requirements by name.
    client : Client
        Of the home.

    Returns
    -------
    dict
        The fields of `Locked`.

    Raises
    ------
    Failed
        ENV-002 when they do not resolve.
    NotFound
        ENV-004 without uv.
    """
    locked = uv.lock(arguments["packages"], list_constraints())
    log(lock=locked)
    digest = store_plainly(client.blobs).put(locked.encode())
    return msgspec.to_builtins(Locked(digest, uv.read_packages(locked), sys.version.split()[0]))  # type: ignore[no-any-return]
