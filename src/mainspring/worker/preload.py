"""Modules that a fork server imports beforehand: third-party ones, never the user's."""

from __future__ import annotations

import importlib
import logging
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path

_log = logging.getLogger(__name__)
_OWN = "mainspring"


def find_third_party(known: frozenset[str]) -> tuple[str, ...]:
    """Return the installed modules and packages, at most two names deep, that are loaded now.

    Parameters
    ----------
    known : frozenset of str
        Names that need not be told again.

    Returns
    -------
    tuple of str
        Names in the order of their import, without those of the standard library, of
        Mainspring and of folders that the user put on the path.
    """
    places = tuple(str(Path(sysconfig.get_path(name)).resolve()) for name in ("purelib", "platlib"))
    found = []
    for name, module in list(sys.modules.items()):
        if name in known or name.count(".") > 1 or name.partition(".")[0] in {_OWN, "__main__"}:
            continue
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.startswith(places) and _is_public(name, module):
            found.append(name)
    return tuple(found)


def _is_public(name: str, module: object) -> bool:
    # A package's own modules come with it; what is a package itself often does not.
    return "." not in name or hasattr(module, "__path__")


class Preloader:
    """Imports what calls ask for, one module at a time, each at most once.

    Parameters
    ----------
    between : callable
        Called before each import, so that nothing else of the process waits for all of them.
    """

    def __init__(self, between: Callable[[], None]) -> None:
        self._between = between
        self._wanted: list[str] = []
        self._seen: set[str] = set()
        self._failed: set[str] = set()

    @property
    def waiting(self) -> bool:
        """Whether something is left to import."""
        return bool(self._wanted)

    def want(self, names: Iterable[str]) -> None:
        """Note modules to be imported when there is time."""
        self._wanted += [name for name in names if name not in self._seen]
        self._seen.update(names)

    def load_next(self) -> None:
        """Import one noted module."""
        self._load(self._wanted.pop(0))

    def load(self, names: Iterable[str]) -> None:
        """Import modules now."""
        for name in names:
            self._load(name)

    def _load(self, name: str) -> None:
        self._seen.add(name)
        if name in sys.modules or name in self._failed:
            return
        self._between()
        try:
            importlib.import_module(name)
        except BaseException as fault:  # noqa: BLE001 - whatever a module does at import, the server goes on
            self._failed.add(name)
            _log.warning("%s is left to the workers: %r", name, fault)
