"""Why: ask about anything of ours."""

from __future__ import annotations

from typing import Any

from mainspring.domain.messages import Explain
from mainspring.domain.records import Reason
from mainspring.sdk.client import get_client


def why(thing: Any) -> Reason:
    """Explain a run, model, service, alarm, renewal, verdict or dataset version.

    Parameters
    ----------
    thing : str or handle
        An id (a prefix or suffix of it), a reference such as ``delays@champion``, a service's
        name, or a handle that has one of them.

    Returns
    -------
    Reason
        Prints as text; ``.data`` is for machines.

    Raises
    ------
    NotFound
        HOME-010 when nothing has that id or name.
    """
    for attribute in ("reference", "id", "name"):
        if not isinstance(thing, str) and isinstance(getattr(thing, attribute, None), str):
            thing = getattr(thing, attribute)
    reason: Reason = get_client().ask(Explain(thing=str(thing)))
    return reason
