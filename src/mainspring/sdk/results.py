"""Results of runs: stored by type, sealed where the run has seen something sensitive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from mainspring.domain.records import Fingerprint, Value
from mainspring.sdk.blobs import store_plainly
from mainspring.sdk.exposures import is_exposed
from mainspring.sdk.handles import Handle
from mainspring.security.masks import MASK

if TYPE_CHECKING:
    from mainspring.sdk.client import Client

_DIGESTS = "digests"
"""Name of the key that digests of sensitive inputs are made with."""


def store_result(value: Any, client: Client, *, shown: bool = False) -> Value:
    """Write a value to the blobs in the format of its type.

    Parameters
    ----------
    value : object
        What a run gives back or logs.
    client : Client
        Of the run.
    shown : bool, default False
        It is to be looked at: figures, pictures and foreign tables get formats of their own.

    Returns
    -------
    Value
        What the record keeps; it shows nothing of a value that is sealed.

    Raises
    ------
    Invalid
        STEP-001 when the value, or an attribute of it, cannot be stored.
    Denied
        SECRET-005 when it holds a secret; AUTH-005, AUTH-006 or AUTH-007 when it is sensitive and the
        run may not seal it.
    """
    from mainspring.tracking import codecs

    store_value = codecs.store_shown if shown else codecs.store_value
    if not is_exposed():
        return store_value(value, client.blobs, client.seal)
    if holds_no_cells(value):
        return store_value(value, store_plainly(client.blobs), client.seal)
    stored = store_value(value, client.blobs, client.seal)
    return replace(stored, summary="sensitive")


def holds_no_cells(value: Any) -> bool:
    """Tell whether a value is made of nothing but handles, which name what was stored and hold none of it."""
    if isinstance(value, list | tuple):
        return all(map(holds_no_cells, value))
    if isinstance(value, dict):
        return all(type(name) is str for name in value) and holds_no_cells(list(value.values()))
    return value is None or isinstance(value, Handle)


def hide_inputs(found: Fingerprint, client: Client) -> Fingerprint:
    """Return a fingerprint as the record may keep it.

    Where something sensitive was seen its inputs confirm no guess; equal ones still give an equal key.
    """
    if not is_exposed():
        return found
    digest = client.data_keys.make(_DIGESTS).digest
    return replace(found, inputs={name: f"sensitive:{digest(text)[:32]}" for name, text in found.inputs.items()})


def hide_params(params: dict[str, Any]) -> dict[str, Any]:
    """Return parameters as the record may keep them: masked where something sensitive was seen."""
    return dict.fromkeys(params, MASK) if is_exposed() else params
