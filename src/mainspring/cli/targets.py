"""Targets: the Python files that verbs load."""

from __future__ import annotations

import importlib.util
import sys
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from mainspring.domain.errors import NotFound


def find_file(text: str, verb: str) -> Path:
    """Return the path of a file that a person named.

    Parameters
    ----------
    text : str
        As it was typed.
    verb : str
        The command line up to the file, for the hint.

    Raises
    ------
    NotFound
        CLI-002 when there is no such file; its fix names the nearest one.
    """
    path = Path(text)
    if path.is_file():
        return path
    near = get_close_matches(path.name, [each.name for each in path.parent.glob("*.py")], n=1)
    raise NotFound("CLI-002", f"there is no file {text}", fix=f"{verb} {path.with_name(near[0])}" if near else "")


def enter_folder(path: Path) -> None:
    """Let a file import its neighbours, as Python does for a script."""
    sys.path.insert(0, str(path.parent.resolve()))


def load_file(path: Path) -> ModuleType:
    """Import a file under its own name.

    Raises
    ------
    NotFound
        CLI-002 when it is no Python file.
    """
    enter_folder(path)
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None:
        raise NotFound("CLI-002", f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
