"""The version of the wire, and which versions understand each other."""

from __future__ import annotations

from mainspring.domain.errors import Invalid

PROTOCOL = 1
"""Raised by one when a message changes so that older ones mean something else."""

BEFORE = 2
"""So many versions before its own does a server answer."""


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
        API-013, with both versions.

    Examples
    --------
    >>> check_protocol(3, newest=5)
    >>> check_protocol(2, newest=5)
    Traceback (most recent call last):
    ...
    mainspring.domain.errors.Invalid: API-013: the client speaks version 2 of the wire, this server 3 to 5
      why: a server answers clients of its own version of the wire and of the two before
      fix: install the server's version of Mainspring on the client: pip install mainspring==VERSION
    """
    oldest = max(1, newest - BEFORE)
    if not oldest <= number <= newest:
        spoken = f"{oldest} to {newest}" if oldest < newest else f"{newest}"
        what = f"the client speaks version {number} of the wire, this server {spoken}"
        raise Invalid("API-013", what, client=number, oldest=oldest, newest=newest)
