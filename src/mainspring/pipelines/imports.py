"""Which modules of the project code imports, read from its text: nothing is run."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from mainspring.pipelines import modules


def follow_imports(names: Iterable[str], main: Path | None = None) -> dict[str, Path]:
    """Return the project's modules that modules import, and those in turn, with the packages they stand in.

    Parameters
    ----------
    names : iterable of str
        Modules to begin with; loaded, or found on the path.
    main : Path, optional
        A script to begin with.

    Returns
    -------
    dict of str to Path
        Module -> file, in an order of its own text. Imports within functions count; packages without a file
        (namespaces) have no entry. What is imported by a name made at run time is not seen.
    """
    found: dict[str, Path] = {}
    waiting = [part for name in names for part in _with_packages(name)]
    if main is not None:
        waiting += _read_imports(main, "")
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        file = _find(name)
        if file is None or modules.find_origin(name, str(file)) != "project" or file.suffix != ".py":
            continue
        found[name] = file
        waiting += _read_imports(file, name if file.name == "__init__.py" else name.rpartition(".")[0])
    return found


def _read_imports(file: Path, package: str) -> list[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    return [part for node in ast.walk(tree) for name in _imported(node, package) for part in _with_packages(name)]


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".") if node.level else []
        above = above[: len(above) - node.level + 1] if node.level > 1 else above
        base = ".".join([*filter(None, above), *([node.module] if node.module else [])])
        if base:
            yield base
        for alias in node.names:  # each may be a module as well as a value
            yield f"{base}.{alias.name}" if base else alias.name


def _with_packages(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: at + 1]) for at in range(len(parts))]


def _find(name: str) -> Path | None:
    """Find a module's file without importing the packages above it."""
    loaded = sys.modules.get(name)
    if loaded is not None:
        file = getattr(loaded, "__file__", None)
        return Path(file) if isinstance(file, str) else None
    top, _, rest = name.partition(".")
    if top in sys.stdlib_module_names:
        return None
    places: list[str] | None = None
    for depth in range(rest.count(".") + 1 if rest else 0):
        above = ".".join(name.split(".")[: depth + 1])
        places = _list_places(above, places)
        if not places:
            return None
    spec = _find_spec(name, places)
    return Path(spec.origin) if spec is not None and spec.origin and spec.has_location else None


def _list_places(name: str, above: list[str] | None) -> list[str]:
    """Return the folders of a package."""
    loaded = sys.modules.get(name)
    if loaded is not None:
        return list(getattr(loaded, "__path__", ()))
    spec = _find_spec(name, above)
    return list(spec.submodule_search_locations or ()) if spec is not None else []


def _find_spec(name: str, places: list[str] | None) -> ModuleSpec | None:
    try:
        # By its last part: a package of namespaces asks for those above it, which are not loaded.
        return PathFinder.find_spec(name.rpartition(".")[2], places)
    except (ImportError, ValueError):
        return None
