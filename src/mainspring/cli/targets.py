"""Targets: the Python files that verbs load, and the code in them that they run."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from mainspring.cli.printing import wants_json
from mainspring.domain.errors import Failed, MainspringError, NotFound
from mainspring.domain.near import suggest

_OWN = str(Path(__file__).parent.parent)


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
    near = suggest(path.name, [each.name for each in path.parent.glob("*.py")])
    raise NotFound("CLI-002", f"there is no file {text}", fix=f"{verb} {path.with_name(near)}" if near else "")


def enter_folder(path: Path) -> None:
    """Let a file import its neighbours, as Python does for a script."""
    sys.path.insert(0, str(path.parent.resolve()))


def load_file(path: Path) -> ModuleType:
    """Import a file under its own name.

    Raises
    ------
    NotFound
        CLI-002 when it is no Python file.
    Failed
        CLI-006 for what its code raises.
    """
    enter_folder(path)
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None:
        raise NotFound("CLI-002", f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    with guard(str(path)):
        spec.loader.exec_module(module)
    return module


def find_function(path: Path, name: str, verb: str = "mainspring run") -> Callable[..., Any]:
    """Import a file and return a function of it.

    Parameters
    ----------
    path, name : Path and str
        The file, and what of it.
    verb : str, default "mainspring run"
        The command line up to the file, for the hint.

    Raises
    ------
    NotFound
        CLI-002 when it has none of this name; its fix names the nearest, or those that it has.
    Failed
        CLI-006 for what its code raises.
    """
    module = load_file(path)
    found = getattr(module, name, None)
    if callable(found):
        return found  # type: ignore[no-any-return]
    own = [each for each, value in vars(module).items() if _is_own(value, module) and not each.startswith("_")]
    near = suggest(name, own)
    why = f"it has {', '.join(own)}" if own else "it has none"
    raise NotFound("CLI-002", f"{path} has no function {name!r}", why=why, fix=f"{verb} {path}::{near or 'FN'}")


def _is_own(value: Any, module: ModuleType) -> bool:
    return callable(value) and not isinstance(value, type) and getattr(value, "__module__", None) == module.__name__


@contextlib.contextmanager
def guard(target: str) -> Iterator[None]:
    """Run code of a target: what it raises shows its own lines alone; with ``--json`` it prints on standard error.

    Raises
    ------
    Failed
        CLI-006 for any exception but those of the catalogue.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr) if wants_json() else contextlib.nullcontext():
            yield
    except MainspringError:
        raise
    except Exception as fault:  # noqa: BLE001 - the code that runs is the user's
        click.echo("".join(_format_own(fault)), err=True, nl=False)
        raise Failed("CLI-006", f"{target} raised {type(fault).__name__}: {fault}") from None


def _format_own(fault: Exception) -> list[str]:
    """Format a traceback without the frames of this package, so that the user's lines stand out."""
    frames = traceback.extract_tb(fault.__traceback__)
    kept = [frame for frame in frames if not frame.filename.startswith((_OWN, "<frozen"))]
    lines = traceback.format_list(kept) + traceback.format_exception_only(fault)
    return ["Traceback (most recent call last):\n", *lines]
