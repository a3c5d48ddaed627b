"""The only module that unpickles; what it opens must carry the project's seal."""

from __future__ import annotations

from typing import Any

from mainspring.security.seals import Seal


def unpickle(sealed: bytes, seal: Seal) -> Any:
    """Open a sealed value and load it; this runs code that the value names.

    Parameters
    ----------
    sealed : bytes
        Bytes that `Seal.seal` made from a pickle.
    seal : Seal
        The project's seal.

    Returns
    -------
    object
        The value.

    Raises
    ------
    Denied
        HOME-012 when the seal does not match; nothing was loaded.

    Notes
    -----
    Guarantees: no byte reaches the unpickler before its seal was checked. The owner process never
    calls this.
    """
    return _load(seal.open(sealed))


def unpickle_call(content: bytes) -> Any:
    """Load a call that was sent from another machine, in the worker of its run.

    Parameters
    ----------
    content : bytes
        A pickle without a seal, named by a call whose `foreign` the owner has set.

    Returns
    -------
    object
        What was sent.

    Notes
    -----
    Guarantees: none about the bytes. Whoever sent them may have this worker run code, by the policy's word for this
    very run; loading them is a part of that.
    """
    return _load(content)


def unpickle_allowed(content: bytes) -> Any:
    """Load the pickle of a model, in a process that was made for it alone, or where its user asks for the object.

    Parameters
    ----------
    content : bytes
        A pickle whose code the user allowed to run, with `allow_code`.

    Returns
    -------
    object
        What its author pickled.

    Notes
    -----
    Guarantees: none about the bytes.
    """
    return _load(content)


def _load(content: bytes) -> Any:
    import pickle  # which a script without pickled values does not need

    return pickle.loads(content)  # noqa: S301 - whoever calls this says why
