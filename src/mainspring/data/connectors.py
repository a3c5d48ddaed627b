"""The port to where rows come from; connectors are found by the scheme of an address."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Protocol

import polars as pl

from mainspring.domain.errors import Invalid

GROUP = "mainspring.connectors"
_BUILT_IN = {"file": "mainspring.data.adapters.files:FileConnector"}


class Connector(Protocol):
    """Reads rows at addresses of one scheme."""

    def read(self, url: str, options: Mapping[str, Any], text: Collection[str]) -> pl.DataFrame:
        """Return the rows.

        MUST leave the columns named in `text` as they are written when the source is text,
        so that a contract reads them, and MUST return the same rows in the same order while
        the source does not change. MUST raise `Invalid` DATA-003 when the source cannot be
        read, DATA-004 when it has no rows.
        """
        ...

    def digest(self, url: str, options: Mapping[str, Any]) -> str:
        """Return a text that changes when the content does.

        MUST NOT depend on where the content lies.
        """
        ...


def find_connector(url: str) -> Connector:
    """Return the connector of an address.

    Parameters
    ----------
    url : str
        An address with a scheme, or a path, which is read as ``file``.

    Returns
    -------
    Connector
        From the entry point group ``mainspring.connectors``.

    Raises
    ------
    Invalid
        DATA-012 when nothing reads that scheme or its library is missing.
    """
    scheme, mark, _ = url.partition("://")
    scheme = scheme if mark else "file"
    found = _BUILT_IN | {point.name: point.value for point in entry_points(group=GROUP)}
    if scheme not in found:
        raise Invalid(
            "DATA-012", f"no connector reads {scheme}://; there are {', '.join(sorted(found))}", scheme=scheme
        )
    module, _, name = found[scheme].partition(":")
    try:
        connector: Connector = getattr(import_module(module), name)()
    except ImportError as missing:
        raise Invalid("DATA-012", f"the connector of {scheme}:// needs {missing.name}", scheme=scheme) from None
    return connector
