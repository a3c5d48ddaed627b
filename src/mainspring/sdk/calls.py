"""Calls for workers, as this client may hand them over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from mainspring.domain.records import Call
from mainspring.sdk.client import Client
from mainspring.sdk.environments import HERE, Prepared
from mainspring.sdk.exposures import is_exposed
from mainspring.sdk.handles import note_datasets


def pack_call(
    client: Client,
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    env: Prepared = HERE,
) -> Call:
    """Pack a call for a worker of the client's home; at a server with the code that it needs.

    It tells which datasets it is given, and whether something sensitive was seen where it was made: that says where
    it may run.

    Raises
    ------
    Invalid
        STEP-005, naming the argument or captured variable that cannot be sent; RENEW-003 when the code is too large.
    """
    from mainspring.pipelines.calls import make_call, make_foreign_call

    make, seal = (make_foreign_call, client.seal) if client.remote else (make_call, client.home_seal)
    with note_datasets() as given:
        call = make(function, args, kwargs, client.blobs, seal, env.lock, env.variables)
    return replace(call, reads=tuple(given), exposed=is_exposed())
