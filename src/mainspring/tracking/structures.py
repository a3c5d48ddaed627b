"""Codecs of what is made of parts: lists and tuples, dicts, dataclasses, files and folders."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from mainspring.domain.errors import Invalid, NotFound
from mainspring.domain.ports import Blobs
from mainspring.domain.records import Value
from mainspring.security.paths import safe_join
from mainspring.tracking.codec import Storage, library_of
from mainspring.tracking.plain import is_json

_MOST_PARTS = 64
_MOST_FILES = 10_000
_BULKY = frozenset({"numpy", "polars", "pandas", "pyarrow"})


class Collection:
    """Short tuples, lists and dicts that hold arrays or tables, which keep their own formats."""

    name = "collection"

    def accepts(self, value: Any) -> bool:
        """Accept tuples of JSON values, and containers with an array, table or tuple of those in them."""
        kind = type(value)
        if kind not in {tuple, list, dict} or len(value) > _MOST_PARTS:
            return False
        if kind is dict and set(map(type, value)) > {str}:
            return False
        parts = list(value.values()) if kind is dict else list(value)
        bulky = any(library_of(part) in _BULKY for part in parts)
        return bulky or (kind is tuple and all(map(is_json, parts)))

    def write(self, value: Any, storage: Storage) -> bytes:
        """Write JSON: the kind, the keys, and small values inline, others by digest."""
        parts = value.values() if isinstance(value, dict) else value
        keys = list(value) if isinstance(value, dict) else None
        body = {"kind": type(value).__name__, "keys": keys, "parts": [write_part(part, storage) for part in parts]}
        return json.dumps(body).encode()

    def read(self, content: bytes, storage: Storage) -> Any:
        """Read it back."""
        body = json.loads(content)
        parts = [read_part(part, storage) for part in body["parts"]]
        if body["kind"] == "dict":
            return dict(zip(body["keys"], parts, strict=True))
        return tuple(parts) if body["kind"] == "tuple" else parts

    def summarise(self, value: Any) -> str:
        """Name the kinds of the parts."""
        parts = value.values() if isinstance(value, dict) else value
        kinds = ", ".join(type(part).__name__ for part in list(parts)[:4])
        return f"{type(value).__name__} of {kinds}{', ...' if len(value) > 4 else ''}"


class Record:
    """Dataclasses, by the name of their class and their fields.

    The manifest is sealed, because reading it imports the class that it names.
    """

    name = "dataclass"

    def accepts(self, value: Any) -> bool:
        """Accept an instance that is nothing but its fields, of a class that its module names."""
        kind = type(value)
        if not hasattr(kind, "__dataclass_fields__") or "<locals>" in kind.__qualname__:
            return False
        if any(hook in vars(kind) for hook in ("__reduce__", "__reduce_ex__", "__getstate__")) and not hasattr(
            kind, "__slots__"
        ):
            return False
        try:
            object.__new__(kind)
        except TypeError:  # it derives from a list, a dict, an exception: it is more than its fields
            return False
        names = _list_fields(kind)
        return set(getattr(value, "__dict__", names)) == set(names) and all(hasattr(value, name) for name in names)

    def write(self, value: Any, storage: Storage) -> bytes:
        """Write the sealed manifest."""
        kind = type(value)
        parts = {name: write_part(getattr(value, name), storage) for name in _list_fields(kind)}
        body = {"module": kind.__module__, "name": kind.__qualname__, "parts": parts}
        return storage.seal.seal(json.dumps(body).encode())

    def read(self, content: bytes, storage: Storage) -> Any:
        """Read it back without calling `__init__`."""
        body = json.loads(storage.seal.open(content))
        kind = _find_class(body["module"], body["name"])
        if set(_list_fields(kind)) != set(body["parts"]):
            raise NotFound("STEP-010", f"{body['module']}.{body['name']} has other fields than the stored value")
        value = object.__new__(kind)
        for name, part in body["parts"].items():
            object.__setattr__(value, name, read_part(part, storage))
        return value

    def summarise(self, value: Any) -> str:
        """Name the class."""
        return type(value).__name__


class File:
    """Paths: the file, or the folder with all its files, is stored by content."""

    name = "path"

    def accepts(self, value: Any) -> bool:
        """Accept `pathlib.Path`."""
        return isinstance(value, Path)

    def write(self, value: Any, storage: Storage) -> bytes:
        """Write a manifest of files with their digests, sizes and times."""
        path = Path(value).absolute()
        if not path.exists():
            raise Invalid("STEP-001", f"the path {value} does not exist", fix="return the path of a file that was made")
        found = _list_files(path)
        if len(found) > _MOST_FILES:
            raise Invalid("STEP-001", f"the folder {value} holds {len(found):,} files, above {_MOST_FILES:,}")
        files = {}
        for each in found:
            status = each.stat()  # before it is read: what changes meanwhile is then seen when it is loaded
            relative = "" if each == path else each.relative_to(path).as_posix()
            _check_name(value, relative or path.name)
            with each.open("rb") as stream:
                files[relative] = [storage.put(stream), status.st_size, status.st_mtime_ns]
        return json.dumps({"path": str(path), "name": path.name, "files": files}).encode()

    def read(self, content: bytes, storage: Storage) -> Any:
        """Return the original path while its files are unchanged, else a private copy."""
        body = json.loads(content)
        original = Path(body["path"])
        if _holds(original, body["files"]):
            return original
        name = PurePosixPath(body["name"]).name or "value"
        target = safe_join(_private_folder(), f"{hashlib.sha256(content).hexdigest()}/{name}")
        for relative, (digest, *_) in body["files"].items():
            _copy(safe_join(target, relative) if relative else target, storage.blobs.stream(digest))
        if "" not in body["files"]:
            target.mkdir(parents=True, exist_ok=True)
        return target

    def summarise(self, value: Any) -> str:
        """Show the name."""
        return f"{'folder' if Path(value).is_dir() else 'file'} {Path(value).name}"


def write_part(part: Any, storage: Storage) -> Any:
    """Return a part as JSON: its value in a list when that is JSON, else where it is stored."""
    if is_json(part):
        return [part]
    stored = storage.store(part)
    return {"codec": stored.codec, "digest": stored.digest, "size_bytes": stored.size_bytes}


def read_part(part: Any, storage: Storage) -> Any:
    """Return the part that `write_part` wrote."""
    return part[0] if isinstance(part, list) else storage.load(Value(**part))


def _list_fields(kind: Any) -> list[str]:
    from dataclasses import fields  # its class has imported it

    return [field.name for field in fields(kind)]


def _find_class(module: str, name: str) -> Any:
    from importlib import import_module

    try:
        found: Any = sys.modules[module] if module == "__main__" else import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, KeyError):
        raise NotFound("STEP-010", f"the class {module}.{name} of a stored value is not here") from None
    return found


def _list_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())


def _check_name(value: Any, name: str) -> None:
    """Refuse a file that could not be written anew from its stored bytes."""
    try:
        safe_join(Path("/"), name)
    except Invalid:
        what = f"{value} holds a file of the name {name!r}"
        raise Invalid("STEP-001", what, fix="leave colons and backslashes out of the names of files") from None


def _holds(original: Path, files: dict[str, list[Any]]) -> bool:
    """Tell whether a path still is the file or the folder of files that was stored."""
    if "" in files:
        return _is_unchanged(original, "", files[""])
    if not original.is_dir() or {each.relative_to(original).as_posix() for each in _list_files(original)} != set(files):
        return False
    return all(_is_unchanged(original, *item) for item in files.items())


def _is_unchanged(original: Path, relative: str, recorded: list[Any]) -> bool:
    try:
        status = (original / relative if relative else original).stat()
    except OSError:
        return False
    return [status.st_size, status.st_mtime_ns] == recorded[1:]


def copy_file(digest: str, name: str, blobs: Blobs) -> Path:
    """Return the path of a private copy of a blob under a name; one that is there already is taken.

    Raises
    ------
    NotFound
        HOME-013 when its bytes are gone.
    Invalid
        HOME-014 when they are those of another content, HOME-011 for a name that is none.
    """
    target = safe_join(_private_folder(), f"{digest}/{name}")
    if not target.exists():
        _copy(target, blobs.stream(digest))
    return target


def _copy(target: Path, parts: Iterable[bytes]) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    import tempfile  # with every compression that there is

    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as draft:
        try:
            draft.writelines(parts)
        except BaseException:  # the last part may tell that they were the wrong ones
            Path(draft.name).unlink()
            raise
    Path(draft.name).replace(target)


def _private_folder() -> Path:
    """Return a folder for copies that nobody else can write."""
    import tempfile

    folder = Path(tempfile.gettempdir()) / f"mainspring-values-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022:
        return folder
    return Path(tempfile.mkdtemp(prefix="mainspring-values-"))
