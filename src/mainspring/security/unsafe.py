"""The only module that unpickles; what it opens must carry the project's seal."""

from __future__ import annotations

import pickle
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
    return pickle.loads(seal.open(sealed))  # noqa: S301 - the seal was checked
