"""How a call travels to a worker: a sealed function with its arguments, and what it needs there."""

from __future__ import annotations

import hashlib
import importlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from mainspring.domain.errors import Conflict, Invalid, MainspringError
from mainspring.domain.ports import Blobs
from mainspring.domain.records import Call, Value
from mainspring.pipelines import modules, sources
from mainspring.pipelines.reach import find_reach
from mainspring.security.seals import Seal
from mainspring.security.unsafe import unpickle
from mainspring.tracking.codecs import find_codec, load_value, store_value
from mainspring.tracking.pickles import pickle_value

_APART_BYTES = 64 * 1024
_APART = frozenset({"ndarray", "arrow", "bytes", "text"})
_pickling = threading.Lock()


def make_call(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], blobs: Blobs, seal: Seal
) -> Call:
    """Pack a call and find what a worker needs for it.

    Parameters
    ----------
    function : callable
        What to call there.
    args, kwargs : sequence, mapping
        Its arguments; large arrays, tables, texts and bytes are stored as values of their own.
    blobs : Blobs
        Where the payload goes.
    seal : Seal
        The project's seal.

    Returns
    -------
    Call
        With this interpreter, the project's import paths, the working folder, the installed
        modules that the function reaches, and the digest of the project's loaded modules.

    Raises
    ------
    Invalid
        STEP-005 when the function, what it captures or an argument cannot be sent.
    """
    payload = pack_call(function, args, kwargs, blobs, seal)
    return Call(
        payload=payload,
        python=sys.executable,
        paths=import_paths(),
        folder=str(Path.cwd()),
        preload=list_modules(function),
        code_digest=digest_project(),
    )


def pack_call(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], blobs: Blobs, seal: Seal
) -> str:
    """Seal a function with its arguments and store them.

    Functions of importable, unchanged modules of the project travel by name, all others (of a
    script, a notebook, another function) by value.

    Returns
    -------
    str
        Digest of the blob.

    Raises
    ------
    Invalid
        STEP-005, naming the argument or captured variable and its type.
    """
    sent = [_send(value, f"argument {at}", blobs, seal) for at, value in enumerate(args, 1)]
    named = {name: _send(value, f"argument {name}", blobs, seal) for name, value in kwargs.items()}
    places = find_reach(function).places if hasattr(function, "__code__") else {}
    # The check comes first, so that nothing is imported before it.
    body = (_Check(_list_files()), places, find_name(function) or function, sent, named)
    with _by_value(_local_modules()):
        try:
            content = pickle_value(body, "STEP-005", "the call")
        except Invalid:
            for at, part in [*enumerate(sent, 1), *named.items()]:
                pickle_value(part, "STEP-005", f"argument {at}")
            pickle_value(function, "STEP-005", f"the function {_show(function)}")
            raise
    return blobs.put(seal.seal(content))


def unpack_call(digest: str, blobs: Blobs, seal: Seal) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """Open a call; its `Call.paths` must stand in `sys.path` already.

    Returns
    -------
    tuple of callable, tuple and dict
        Function, positional and named arguments.

    Raises
    ------
    Denied
        HOME-012 when this project did not seal it; nothing was loaded.
    Conflict
        STEP-007 when a module of the project is not the one that was submitted.
    """
    _, places, function, sent, named = unpickle(blobs.get(digest), seal)

    def receive(part: Any) -> Any:
        return load_value(part.value, blobs, seal) if isinstance(part, _Stored) else part

    sources.adopt(places)
    if isinstance(function, Name):
        function = function.find()
    return function, tuple(map(receive, sent)), {name: receive(part) for name, part in named.items()}


def import_paths() -> tuple[str, ...]:
    """Return the folders of `sys.path` that a worker does not have by itself, absolute."""
    found = []
    for entry in sys.path:
        folder = str(Path(entry or ".").absolute())
        if Path(folder).is_dir() and modules.find_origin("project", f"{folder}/project.py") == "project":
            found.append(folder)
    return tuple(dict.fromkeys(found))


def list_modules(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the installed modules that a function reaches, for a fork server to import."""
    return tuple(find_reach(function).modules) if hasattr(function, "__code__") else ()


def digest_project() -> str:
    """Digest the project's loaded modules, so that a worker that holds others is not used."""
    digest = hashlib.sha256()
    for name, content in sorted(_list_files().items()):
        digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()[:32]


class _Stored:
    """Stands for an argument that is stored as a value."""

    def __init__(self, value: Value) -> None:
        self.value = value


class Name:
    """Stands for a function that the worker imports: `depth` wrappers below a module's name."""

    def __init__(self, module: str, qualname: str, depth: int) -> None:
        self.module = module
        self.qualname = qualname
        self.depth = depth

    def find(self) -> Any:
        """Import it."""
        found: Any = importlib.import_module(self.module)
        for part in self.qualname.split("."):
            found = getattr(found, part)
        for _ in range(self.depth):
            found = found.__wrapped__
        return found


class _Check:
    """Refuses to load what follows it in a payload when the worker would import other code."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    def __reduce__(self) -> tuple[Any, ...]:
        return check_files, (self._files,)


def check_files(files: dict[str, str]) -> None:
    """Compare modules of the project with those of a call, before they are imported.

    Raises
    ------
    Conflict
        STEP-007 when one has changed.
    """
    for name, content in files.items():
        file = modules.locate(name)
        if file is not None and _digest_file(file) != content:
            raise Conflict("STEP-007", f"{file} changed after the run was submitted", file=file)


def _send(value: Any, name: str, blobs: Blobs, seal: Seal) -> Any:
    """Store a large argument apart; return what stands for it in the payload."""
    size = getattr(value, "nbytes", None)
    if size is None and hasattr(value, "estimated_size"):
        size = value.estimated_size()
    elif isinstance(value, bytes | str):
        size = len(value)
    if not isinstance(size, int) or size < _APART_BYTES or find_codec(value).name not in _APART:
        return value
    try:
        return _Stored(store_value(value, blobs, seal))
    except MainspringError as fault:
        if fault.code != "STEP-001":
            raise
        raise Invalid("STEP-005", f"{name}: {fault.what}") from None


def find_name(function: Any) -> Name | None:
    """Return the name that imports a function, None when it must travel by value."""
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    if module is None or module.__name__ == "__main__" or not _is_importable(module):
        return None
    try:
        found: Any = module
        for part in function.__qualname__.split("."):
            found = getattr(found, part)
    except AttributeError:
        return None
    for depth in range(10):
        if found is function:
            return Name(module.__name__, function.__qualname__, depth)
        found = getattr(found, "__wrapped__", None)
    return None


def _is_importable(module: ModuleType) -> bool:
    """Tell whether a worker that imports the name gets the code that this process runs."""
    file = getattr(module, "__file__", None)
    if file is None or modules.origin_of(module) != "project":
        return file is not None
    path = Path(file)
    parts = module.__name__.split(".")
    root = path.parents[len(parts) if path.stem == "__init__" else len(parts) - 1]
    return sources.is_unchanged(file) and str(root) in import_paths()


def _project_modules() -> Iterator[ModuleType]:
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if (
            file is not None
            and name not in {"__main__", "__mp_main__"}
            and modules.find_origin(name, file) == "project"
        ):
            yield module


def _list_files() -> dict[str, str]:
    return {
        module.__name__: _digest_file(str(module.__file__))
        for module in _project_modules()
        if module.__name__ != "__main__" and _is_importable(module)
    }


def _local_modules() -> list[ModuleType]:
    return [module for module in _project_modules() if not _is_importable(module) and module.__name__ in sys.modules]


@contextmanager
def _by_value(local: list[ModuleType]) -> Iterator[None]:
    import cloudpickle

    with _pickling:
        known = cloudpickle.list_registry_pickle_by_value()
        added = [module for module in local if module.__name__ not in known]
        for module in added:
            cloudpickle.register_pickle_by_value(module)
        try:
            yield
        finally:
            for module in added:
                cloudpickle.unregister_pickle_by_value(module)


def _digest_file(file: str) -> str:
    try:
        status = Path(file).stat()
    except OSError:
        return "missing"
    return _read_digest(file, status.st_mtime_ns, status.st_size)


@cache
def _read_digest(file: str, modified_ns: int, size_bytes: int) -> str:  # noqa: ARG001 - they are the memo's key
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def _show(function: Any) -> str:
    return str(getattr(function, "__qualname__", function))
