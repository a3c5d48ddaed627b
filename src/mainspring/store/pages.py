"""Pages of searches: a name that says where the last one ended, and of which search it was."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

import msgspec

from mainspring.domain.errors import Invalid
from mainspring.domain.lists import refuse_page

Place = list[str | int | float | bool | None]
"""Values by which the last item of a page stood where it stood."""


class _Page(msgspec.Struct, frozen=True, array_like=True):
    query: bytes
    place: Place


def write_page(search: Any, place: Place) -> str:
    """Return the name of the page that follows an item.

    Parameters
    ----------
    search : JSON value
        All that makes one search another one.
    place : list
        Of the last item.
    """
    content = msgspec.msgpack.encode(_Page(_digest(search), place))
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def read_page(page: str, search: Any, like: tuple[type, ...]) -> Place:
    """Return the place that a page begins after.

    Parameters
    ----------
    page : str
        What `write_page` returned.
    search : JSON value
        As it was then.
    like : tuple of type
        Of each value of the place; it may be None, too.

    Raises
    ------
    Invalid
        RUN-013 for a page that is none, or belongs to another search.
    """
    try:
        found = msgspec.msgpack.decode(base64.urlsafe_b64decode(page + "=" * (-len(page) % 4)), type=_Page)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise refuse_page(page) from None
    if found.query != _digest(search):
        raise Invalid("RUN-013", "the page belongs to a search with another filter, order or project")
    if len(found.place) != len(like) or not all(
        value is None or isinstance(value, kind) for value, kind in zip(found.place, like, strict=True)
    ):
        raise refuse_page(page)
    return found.place


def _digest(search: Any) -> bytes:
    return hashlib.sha256(msgspec.json.encode(search)).digest()[:8]
