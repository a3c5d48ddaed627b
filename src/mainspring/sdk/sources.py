"""Sources: where rows come from."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


class Source:
    """Rows at an address, not read yet; made by `source`.

    Attributes
    ----------
    url : str
        The address or path.
    options : dict
        For the connector.
    """

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self.url = url
        self.options = options

    def read(self, text: Collection[str] = ()) -> pl.DataFrame:
        """Read the rows.

        Parameters
        ----------
        text : collection of str
            Columns to leave as they are written where the source is text; the types of the
            others are inferred from all their values.

        Raises
        ------
        Invalid
            DATA-003 for a source that cannot be read, DATA-004 for an empty one, DATA-012 when
            nothing reads such an address.
        """
        from mainspring.data.connectors import find_connector

        return find_connector(self.url).read(self.url, self.options, text)

    def __mainspring_digest__(self) -> str:
        """Return a digest of the content, so that a step reads again when it has changed."""
        from mainspring.data.connectors import find_connector

        return find_connector(self.url).digest(self.url, self.options)

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"source({self.url!r}{options})"


def source(url: str, **options: Any) -> Source:
    """Name rows to be read by `write`.

    Parameters
    ----------
    url : str
        A path, a pattern (``data/orders*.csv``) or an address of a connector.
    **options
        For the connector. Files: ``na`` (texts that mean missing, beside the empty one),
        ``separator``, ``format`` (csv, parquet or jsonl; by default from the name, as in
        ``orders.csv.zip``).

    Returns
    -------
    Source
        Nothing is read yet.

    Examples
    --------
    >>> source("orders.csv", na="NA")
    source('orders.csv', na='NA')
    """
    return Source(url, options)
