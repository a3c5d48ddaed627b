"""Where the tables of a home lie: in its folder, or in its object store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mainspring.domain.home import Home
from mainspring.store.locations import find_tables, list_options


class Place(NamedTuple):
    """Where one table lies.

    Attributes
    ----------
    name : str
        The dataset.
    folder : Path
        Holds the lock of this home's writers, and the table itself when `url` is empty.
    url : str
        The table in an object store.
    options : mapping
        What the libraries are told of that store; no secrets.
    """

    name: str
    folder: Path
    url: str = ""
    options: Mapping[str, str] = {}

    @property
    def writing(self) -> dict[str, str]:
        """What the library of tables is told: the store's options and its tries."""
        return {**self.options, "max_retries": "3", "retry_timeout": "20s"} if self.url else {}

    @property
    def reading(self) -> dict[str, Any]:
        """What the library that scans is told: the same in its own words."""
        return {**self.options, "max_retries": 3, "retry_timeout_ms": 20_000} if self.url else {}

    @property
    def address(self) -> str:
        """What the libraries of tables open."""
        return self.url or str(self.folder)


def place_table(home: Home, name: str) -> Place:
    """Return where the table of a dataset lies; nothing is read.

    Parameters
    ----------
    home : Home
        The home.
    name : str
        The dataset.
    """
    location = find_tables(home)
    folder = home.tables / name
    if location is None:
        return Place(name, folder)
    return Place(name, folder, f"{location.url}/{name}", list_options(location.scheme))
