"""Snapshots: the code of a pipeline by content, so that the owner can start it without importing it."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from mainspring.domain.errors import Invalid
from mainspring.domain.ports import Blobs
from mainspring.domain.records import Snapshot
from mainspring.security.paths import safe_join

MAX_BYTES = 50 * 1024 * 1024
MAX_FILES = 2_000


def take_snapshot(function: Callable[..., Any], blobs: Blobs, preload: tuple[str, ...] = ()) -> Snapshot:
    """Store the project's modules that are loaded now, with the function as their entry.

    Parameters
    ----------
    function : callable
        A function at the top of a file; its folder is the project.
    blobs : Blobs
        Where the files go.
    preload : tuple of str
        Third-party modules to import before the entry.

    Returns
    -------
    Snapshot
        The same code gives the same snapshot.

    Raises
    ------
    Invalid
        RENEW-002 when the function stands in no file or not at its top; RENEW-003 when the
        files are too many or too large.
    """
    module = sys.modules.get(function.__module__)
    file = getattr(module, "__file__", None)
    if module is None or file is None or "<locals>" in function.__qualname__:
        raise Invalid("RENEW-002", f"{function.__qualname__} stands in no file")
    root, folder = _find_root(module, Path(file).resolve())
    files: dict[str, str] = {}
    size_bytes = 0
    for path in sorted(_loaded_files(root)):
        content = path.read_bytes()
        size_bytes += len(content)
        if size_bytes > MAX_BYTES or len(files) >= MAX_FILES:
            raise Invalid("RENEW-003", f"the code under {root.name} exceeds {MAX_BYTES:,} bytes or {MAX_FILES:,} files")
        files[path.relative_to(root).as_posix()] = blobs.put(content)
    return Snapshot(files, f"{folder}:{function.__qualname__}", sys.executable, preload)


def digest_snapshot(snapshot: Snapshot) -> str:
    """Return the SHA-256 of a snapshot, its name."""
    return hashlib.sha256(msgspec.json.encode(snapshot, order="sorted")).hexdigest()


def lay_out(snapshot: Snapshot, folder: Path, blobs: Blobs) -> Path:
    """Write the files of a snapshot below `folder`, once.

    Returns
    -------
    Path
        The folder to put in front of `sys.path`.

    Notes
    -----
    Guarantees: atomic and idempotent; two processes may do it at once.
    """
    target = folder / digest_snapshot(snapshot)[:32]
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder, prefix=".draft-"))
    try:
        for name, digest in snapshot.files.items():
            path = safe_join(draft, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(blobs.get(digest))
        draft.rename(target)
    except BaseException as fault:
        shutil.rmtree(draft, ignore_errors=True)
        if not (isinstance(fault, OSError) and target.exists()):  # another process was first
            raise
    return target


def _find_root(module: ModuleType, file: Path) -> tuple[Path, str]:
    if module.__name__ == "__main__":
        return file.parent, file.stem
    depth = module.__name__.count(".") + (file.name == "__init__.py")
    return file.parents[depth], module.__name__


def _loaded_files(root: Path) -> set[Path]:
    outside = {Path(entry).resolve() for entry in sys.path if "site-packages" in entry} | {Path(sys.prefix).resolve()}
    found = set()
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None)
        if not isinstance(name, str) or not name.endswith(".py"):
            continue
        path = Path(os.path.realpath(name))
        if path.is_relative_to(root) and not any(path.is_relative_to(other) for other in outside if other != root):
            found.add(path)
    return found
