"""The version of the wire, and which versions understand each other.

What is promised to clients of other versions stands in docs/guide/remote.md. Requests that clients of each
version sent, and what they were answered, lie in tests/fixtures/wire and are asked again by the tests.
"""

from __future__ import annotations

import mainspring
from mainspring.domain.errors import Invalid

PROTOCOL = 1
"""Raised by one when a message changes so that older ones mean something else; then `python tools/recordings.py`."""

FIRST = 1
"""What a request speaks that does not say."""

BEFORE = 2
"""So many versions before its own does a server answer."""

DIRECT = "Mainspring-Direct"
"""The header by which a client says that it may be sent to the object store itself for a blob."""


def list_spoken(newest: int = PROTOCOL) -> range:
    """Return the versions of the wire that a server of a version answers.

    Examples
    --------
    >>> list(list_spoken(1)), list(list_spoken(5))
    ([1], [3, 4, 5])
    """
    return range(max(FIRST, newest - BEFORE), newest + 1)


def check_protocol(number: int, newest: int = PROTOCOL) -> None:
    """Refuse a client whose version of the wire this server does not answer.

    Parameters
    ----------
    number : int
        What the client sent.
    newest : int, default PROTOCOL
        The server's own.

    Raises
    ------
    Invalid
        API-013, with both versions and what to install where.

    Examples
    --------
    >>> check_protocol(3, newest=5)
    >>> check_protocol(2, newest=5)
    Traceback (most recent call last):
    ...
    mainspring.domain.errors.Invalid: API-013: the client speaks version 2 of the wire, this server 3 to 5
      why: a server answers clients of its own version of the wire and of the two before
      fix: on the client: pip install --upgrade mainspring==0.1.0
    """
    spoken = list_spoken(newest)
    if number in spoken:
        return
    span = f"{spoken[0]} to {newest}" if len(spoken) > 1 else f"{newest}"
    what = f"the client speaks version {number} of the wire, this server {span}"
    fix = f"on the client: pip install --upgrade mainspring=={mainspring.__version__}"
    if number > newest:
        fix = "where the record is: pip install --upgrade mainspring, then mainspring stop; what comes next starts it"
    raise Invalid("API-013", what, fix=fix, client=number, oldest=spoken[0], newest=newest)
