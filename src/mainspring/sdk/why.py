"""Why: ask about anything of ours."""

from __future__ import annotations

from typing import Any

from mainspring.domain.codes import explain_code, is_code
from mainspring.domain.messages import Explain
from mainspring.domain.planning import FORETOLD_S
from mainspring.domain.records import Reason
from mainspring.sdk.client import get_client


def why(thing: Any) -> Reason:
    """Explain a run, model, service, alarm, renewal, verdict, dataset version or error code.

    Parameters
    ----------
    thing : str or handle
        An id (a prefix or suffix of it), a reference such as ``delays@champion``, a service's
        name, an error code (explained without an owner), or a handle that has one of them.

    Returns
    -------
    Reason
        Prints as text; ``.data`` is for machines.

    Raises
    ------
    NotFound
        HOME-010 when nothing has that id or name, HOME-009 for an unknown code.

    Examples
    --------
    >>> print(ms.why("RUN-005"))
    RUN-005: a lease that was lost
    ...
    """
    for attribute in ("reference", "id", "name"):
        if not isinstance(thing, str) and isinstance(getattr(thing, attribute, None), str):
            thing = getattr(thing, attribute)
    if is_code(str(thing)):
        return explain_code(str(thing))
    reason: Reason = get_client().ask(Explain(thing=str(thing), wait_s=FORETOLD_S))
    return reason
