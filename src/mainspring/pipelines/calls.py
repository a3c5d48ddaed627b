"""How a call travels to a worker: a sealed function with its arguments, and what it needs there."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from mainspring.domain.errors import Invalid, MainspringError
from mainspring.domain.ports import Blobs
from mainspring.domain.records import Call, Value
from mainspring.pipelines import sources
from mainspring.pipelines.project import Name, Project, check_files
from mainspring.pipelines.reach import find_reach
from mainspring.pipelines.snapshots import store_modules
from mainspring.security.seals import Seal
from mainspring.security.unsafe import unpickle, unpickle_call
from mainspring.tracking.codecs import find_codec, load_value, store_value
from mainspring.tracking.pickles import pickle_value

_APART_BYTES = 64 * 1024
_APART = frozenset({"ndarray", "arrow", "bytes", "text"})
_pickling = threading.Lock()

_KEPT_S = 3600.0
"""So long is counted on that a home still has what it was sent."""
_stored_code: dict[tuple[int, str], tuple[float, str]] = {}


def make_call(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    blobs: Blobs,
    seal: Seal,
    environment: str = "",
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Call:
    """Pack a call and find what a worker needs for it.

    Parameters
    ----------
    function : callable
        What to call there. Functions of importable, unchanged modules of the project travel by
        name, all others (of a script, a notebook, another function) by value.
    args, kwargs : sequence, mapping
        Its arguments; large arrays, tables, texts and bytes are stored as values of their own.
    blobs : Blobs
        Where the payload goes.
    seal : Seal
        The project's seal.
    environment : str, default ""
        Digest of the lock of the environment that it runs in.
    variables : mapping of str to str, optional
        Variables of the process that it runs in.

    Returns
    -------
    Call
        With this interpreter, the project's import paths, the working folder, the installed
        modules that the function reaches, and the digest of the project's loaded modules.

    Raises
    ------
    Invalid
        STEP-005, naming the argument or captured variable that cannot be sent, and its type.

    Notes
    -----
    Cost: some 0.3 ms, and the time to pickle and write.
    """
    project = Project()
    payload, parts = _pack(function, args, kwargs, blobs, seal, project)
    return Call(
        payload=payload,
        parts=parts,
        python=sys.executable,
        paths=project.paths,
        folder=str(Path.cwd()),
        preload=list_modules(function),
        code_digest=project.digest,
        environment=environment,
        variables=dict(variables),
    )


def make_foreign_call(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    blobs: Blobs,
    seal: Seal,
    environment: str = "",
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Call:
    """Pack a call for a home on another machine: with the project's code, and without a seal.

    Parameters
    ----------
    function, args, kwargs, blobs, environment, variables
        As `make_call` takes them.
    seal : Seal
        Of this machine; nothing that travels is sealed with it.

    Returns
    -------
    Call
        With a snapshot of the project's modules, and the versions of Python and of the distributions
        that the function reaches.

    Raises
    ------
    Invalid
        STEP-005, as `make_call` does; RENEW-003 when the code is too large.
    """
    project = Project()
    needs = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    if not environment and hasattr(function, "__code__"):
        needs |= find_reach(function).environment
    snapshot = _store_code(project, blobs)
    payload, parts = _pack(function, args, kwargs, blobs, seal, project, sealed=False)
    return Call(
        payload=payload,
        parts=parts,
        code_digest=snapshot,
        environment=environment,
        variables=dict(variables),
        snapshot=snapshot,
        needs=needs,
    )


def _store_code(project: Project, blobs: Blobs) -> str:
    """Store the project's code, unless it was lately."""
    known = id(blobs), project.digest
    at, digest = _stored_code.get(known, (0.0, ""))
    if not digest or time.monotonic() - at > _KEPT_S:
        main = getattr(sys.modules["__main__"], "__file__", None)
        digest = store_modules(project.files, blobs, Path(main) if main else None)
        _stored_code[known] = time.monotonic(), digest
    return digest


def unpack_call(call: Call, blobs: Blobs, seal: Seal) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """Open a call; its `Call.paths`, and the folder of its `Call.snapshot`, must stand in `sys.path` already.

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
    content = blobs.get(call.payload)
    _, places, function, sent, named = unpickle_call(content) if call.foreign else unpickle(content, seal)

    def receive(part: Any) -> Any:
        return load_value(part.value, blobs, seal) if isinstance(part, _Stored) else part

    sources.adopt(places)
    if isinstance(function, Name):
        function = function.find()
    return function, tuple(map(receive, sent)), {name: receive(part) for name, part in named.items()}


def list_modules(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the installed modules that a function reaches, for a fork server to import."""
    return tuple(find_reach(function).modules) if hasattr(function, "__code__") else ()


class _Stored:
    """Stands for an argument that is stored as a value."""

    def __init__(self, value: Value) -> None:
        self.value = value


class _Check:
    """Refuses to load what follows it in a payload when the worker would import other code."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files

    def __reduce__(self) -> tuple[Any, ...]:
        return check_files, (self._files,)


def _pack(
    function: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    blobs: Blobs,
    seal: Seal,
    project: Project,
    *,
    sealed: bool = True,
) -> tuple[str, tuple[str, ...]]:
    """Store a payload; return its digest, and those of the arguments that lie apart."""
    sent = [_send(value, f"argument {at}", blobs, seal) for at, value in enumerate(args, 1)]
    named = {name: _send(value, f"argument {name}", blobs, seal) for name, value in kwargs.items()}
    places = find_reach(function).places if hasattr(function, "__code__") else {}
    # The check comes first, so that nothing is imported before it.
    body = (_Check(project.files), places, project.find_name(function) or function, sent, named)
    with by_value(project.local):
        try:
            content = pickle_value(body, "STEP-005", "the call")
        except Invalid:
            for at, part in [*enumerate(sent, 1), *named.items()]:
                pickle_value(part, "STEP-005", f"argument {at}")
            pickle_value(function, "STEP-005", f"the function {getattr(function, '__qualname__', function)}")
            raise
    apart = [part.value for part in (*sent, *named.values()) if isinstance(part, _Stored)]
    parts = tuple(dict.fromkeys(digest for value in apart for digest in (value.digest, *value.parts)))
    return blobs.put(seal.seal(content) if sealed else content), parts


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


@contextmanager
def by_value(local: list[ModuleType]) -> Iterator[None]:
    """Let what these modules define be pickled by its content, for who cannot import them."""
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
