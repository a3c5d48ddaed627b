"""Snapshots: the code of a pipeline by content, so that the owner can start it without importing it."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from mainspring.domain.errors import Invalid
from mainspring.domain.ports import Blobs
from mainspring.domain.records import Snapshot
from mainspring.domain.units import format_size
from mainspring.pipelines.environments import read_environment
from mainspring.pipelines.imports import follow_imports
from mainspring.security.paths import safe_join

MAX_BYTES = 50 * 1024 * 1024
MAX_FILES = 2_000
_NAMED = 3


def take_snapshot(function: Callable[..., Any], blobs: Blobs, preload: tuple[str, ...] = ()) -> Snapshot:
    """Store a function's module with the project's modules that it reaches, and what is installed.

    Parameters
    ----------
    function : callable
        A function at the top of a file. What the file imports comes along, wherever it lies outside of installed
        packages, and what is loaded below its folder.
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
    path = Path(file).resolve()
    name = _name(module, path)
    files = {_place(name, path): path}
    files |= _list_loaded(_find_root(name, path))
    files |= {_place(each, found): found for each, found in follow_imports([name], path).items()}
    lock = blobs.put(write_lock().encode())
    stored = {place: blobs.put(content) for place, content in _read(files).items()}
    return Snapshot(stored, f"{name}:{function.__qualname__}", sys.executable, preload, lock)


def store_modules(names: Iterable[str], blobs: Blobs, main: Path | None = None) -> str:
    """Store the project's modules that a call needs elsewhere, as one blob.

    Parameters
    ----------
    names : iterable of str
        Modules that are loaded; what they import comes along.
    blobs : Blobs
        Where the files go.
    main : Path, optional
        The script that runs, which travels itself by value; what it imports comes along.

    Returns
    -------
    str
        Its digest; the same code gives the same.

    Raises
    ------
    Invalid
        RENEW-003 when the files are too many or too large.
    """
    found = follow_imports(names, main)
    contents = _read({_place(name, path): path for name, path in found.items()})
    return blobs.put(msgspec.msgpack.encode(contents, order="sorted"))


def write_lock() -> str:
    """Return what is installed for this interpreter, a requirement a line."""
    packages = read_environment().packages
    return "".join(f"{name}=={version}\n" for name, version in packages.items())


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
    return _lay_out(
        folder / digest_snapshot(snapshot)[:32],
        lambda: {name: blobs.get(each) for name, each in snapshot.files.items()},
    )


def lay_out_modules(digest: str, folder: Path, blobs: Blobs) -> Path:
    """Write what `store_modules` has stored below `folder`, once; as `lay_out` does.

    Raises
    ------
    Invalid
        RENEW-003 when the blob holds no modules; HOME-011 when a path leaves the folder.
    """

    def read() -> dict[str, bytes]:
        try:
            return msgspec.msgpack.decode(blobs.get(digest), type=dict[str, bytes])
        except msgspec.DecodeError:
            raise Invalid("RENEW-003", f"the blob {digest[:12]} holds no code") from None

    return _lay_out(folder / digest[:32], read)


def _lay_out(target: Path, read: Callable[[], dict[str, bytes]]) -> Path:
    if target.exists():
        return target
    import shutil  # an owner knows snapshots and lays none out until one is started
    import tempfile

    folder = target.parent
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder, prefix=".draft-"))
    try:
        for name, content in read().items():
            path = safe_join(draft, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            os.utime(path, (0, 0))  # it never changes: its text is what runs, whenever it was laid out
        draft.rename(target)
    except BaseException as fault:
        shutil.rmtree(draft, ignore_errors=True)
        if not (isinstance(fault, OSError) and target.exists()):  # another process was first
            raise
    return target


def _read(files: Mapping[str, Path]) -> dict[str, bytes]:
    """Read files, unless they are too many or too large; then the largest are named."""
    sizes = {name: path.stat().st_size for name, path in files.items()}
    total = sum(sizes.values())
    if total > MAX_BYTES or len(files) > MAX_FILES:
        largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:_NAMED]
        told = ", ".join(f"{name} ({format_size(sizes[name])})" for name in largest)
        what = f"the code is {len(files):,} files of {format_size(total)}; the largest: {told}"
        raise Invalid("RENEW-003", what, files=len(files), size_bytes=total)
    return {name: files[name].read_bytes() for name in sorted(files)}


def _name(module: ModuleType, file: Path) -> str:
    """Return what a module is imported by; of a script or `python -m`, what it would be."""
    if module.__name__ != "__main__":
        return module.__name__
    spec = module.__spec__
    return spec.name if spec is not None else file.stem


def _place(name: str, file: Path) -> str:
    """Return where a module lies in a snapshot: each root's modules side by side, as they are imported."""
    return f"{name.replace('.', '/')}{'/__init__' if file.name == '__init__.py' else ''}.py"


def _find_root(name: str, file: Path) -> Path:
    return file.parents[name.count(".") + (file.name == "__init__.py")]


def _list_loaded(root: Path) -> dict[str, Path]:
    """Return the loaded modules below a folder, also those that were imported by names made at run time."""
    outside = {Path(entry).resolve() for entry in sys.path if "site-packages" in entry} | {Path(sys.prefix).resolve()}
    found = {}
    for module in list(sys.modules.values()):
        name = getattr(module, "__file__", None)
        if not isinstance(name, str) or not name.endswith(".py"):
            continue
        path = Path(os.path.realpath(name))
        if path.is_relative_to(root) and not any(path.is_relative_to(other) for other in outside if other != root):
            found[path.relative_to(root).as_posix()] = path
    return found
