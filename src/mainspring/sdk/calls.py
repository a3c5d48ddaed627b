"""Calls for workers, as this client may hand them over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mainspring.domain.records import Call
from mainspring.sdk.client import Client
from mainspring.sdk.environments import HERE, Prepared


def pack_call(
    client: Client,
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    env: Prepared = HERE,
) -> Call:
    """Pack a call for a worker of the client's home; at a server with the code that it needs.

    Raises
    ------
    Invalid
        STEP-005, naming the argument or captured variable that cannot be sent; RENEW-003 when the code is too large.
    """
    from mainspring.pipelines.calls import make_call, make_foreign_call

    if client.remote:
        return make_foreign_call(function, args, kwargs, client.blobs, client.seal, env.lock, env.variables)
    return make_call(function, args, kwargs, client.blobs, client.home_seal, env.lock, env.variables)
