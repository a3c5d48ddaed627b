"""What a function reaches inside the project, and which distributions outside it."""

from __future__ import annotations

import ast
import builtins
import functools
import hashlib
import opcode
import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from mainspring.pipelines import modules, sources

_EXTENDED = opcode.opmap["EXTENDED_ARG"]
_GLOBAL = opcode.opmap["LOAD_GLOBAL"]
_NAMES = frozenset(opcode.opmap[name] for name in ("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS") if name in opcode.opmap)
_SCALARS = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))
_MISSING = object()
LITERAL_LENGTH = 60


class Reach:
    """What was found behind one function.

    Attributes
    ----------
    code : dict of str to str
        Label such as ``flights.py:clean()`` -> digest; the function itself comes first.
    environment : dict of str to str
        Distribution -> version.
    modules : dict of str to None
        Full names of the installed modules that are used, in order.
    constants : list of (str, object)
        Label and value of what must be digested at every call, because it can change in place.
    places : dict of str to str
        Digests by place in the text and by name of a class, and files of modules, for `sources.adopt` in
        another process.
    """

    def __init__(self) -> None:
        self.code: dict[str, str] = {}
        self.environment: dict[str, str] = {}
        self.modules: dict[str, None] = {}
        self.constants: list[tuple[str, Any]] = []
        self.places: dict[str, str] = {}
        self._names: list[tuple[dict[str, Any], str, Any]] = []
        self._cells: list[tuple[CellType, Any]] = []
        self._codes: list[tuple[Any, CodeType]] = []

    def is_current(self) -> bool:
        """Tell whether every name, captured variable and function still is what was found."""
        return (
            all(space.get(name, _MISSING) is found for space, name, found in self._names)
            and all(_contents(cell) is found for cell, found in self._cells)
            and all(function.__code__ is code for function, code in self._codes)
        )

    def watch_name(self, space: dict[str, Any], name: str, found: Any) -> None:
        """Make `is_current` depend on a name of a module."""
        self._names.append((space, name, found))

    def watch_cell(self, cell: CellType, found: Any) -> None:
        """Make `is_current` depend on a captured variable."""
        self._cells.append((cell, found))

    def watch_code(self, function: Any, code: CodeType) -> None:
        """Make `is_current` depend on the code of a function, which autoreload exchanges."""
        self._codes.append((function, code))

    def add(self, label: str, digest: str) -> None:
        """Add a digest; two things of one label are kept together."""
        old = self.code.get(label)
        if old is not None and old != digest:
            digest = hashlib.sha256(f"{old}{digest}".encode()).hexdigest()[:32]
        self.code[label] = digest


_memo: weakref.WeakKeyDictionary[Callable[..., Any], Reach] = weakref.WeakKeyDictionary()


def digest_scalar(value: Any) -> str:
    """Return ``=`` and the text of a short scalar, the digest of a long one."""
    text = repr(value)
    return f"={text}" if len(text) <= LITERAL_LENGTH else _short(text.encode("utf-8", "surrogatepass"))


def find_reach(function: Callable[..., Any]) -> Reach:
    """Walk what a function reaches: names of its module, captured variables, defaults, classes.

    Parameters
    ----------
    function : callable
        A plain function, or a class, which reaches what its methods and bases do.

    Returns
    -------
    Reach
        Kept for the function until something that it reaches becomes another object.

    Notes
    -----
    What is looked up by text at run time (`getattr`, `importlib`, `eval`) is not seen. A module of
    the project that a function imports for itself counts as a whole, with what it imports.
    """
    reach = _memo.get(function)
    if reach is None or not reach.is_current():
        reach = _memo[function] = _Walk().start(function)
    return reach


class _Walk:
    def __init__(self) -> None:
        self.reach = Reach()
        self._seen: dict[int, Any] = {}
        self._waiting: deque[tuple[str, Any]] = deque()

    def start(self, function: Callable[..., Any]) -> Reach:
        if isinstance(function, FunctionType):
            self._seen[id(function)] = function
            self._visit_function(function, defaults=False)
        else:
            self._later(getattr(function, "__name__", ""), function)
        while self._waiting:
            label, value = self._waiting.popleft()
            self._visit(label, value)
        return self.reach

    def _later(self, label: str, value: Any) -> None:
        self._waiting.append((label, value))

    def _visit(self, label: str, value: Any) -> None:
        if isinstance(value, _SCALARS):
            self.reach.add(label, digest_scalar(value))
            return
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value
        if isinstance(value, ModuleType):
            self._visit_module(value.__name__)
        elif isinstance(value, FunctionType):
            self._visit_function(value)
        elif isinstance(value, type):
            self._visit_class(value)
        elif isinstance(value, MethodType):
            self._later(f"{label}.__self__", value.__self__)
            self._later(label, value.__func__)
        elif isinstance(value, functools.partial):
            self._later(label, value.func)
            self._later(f"{label}.args", (value.args, value.keywords))
        elif isinstance(value, BuiltinFunctionType):
            self._visit_module(value.__module__ or "builtins")
        else:
            self._visit_instance(label, value)

    def _visit_module(self, name: str) -> None:
        """Note an installed module; a module of the project is reached by its attributes."""
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None) if module is not None else modules.locate(name)
        if modules.find_origin(name, file) == "installed":
            self.reach.modules[name] = None
            distribution, version = modules.find_distribution(name)
            self.reach.environment[distribution] = version

    def _visit_function(self, function: Any, *, defaults: bool = True) -> None:
        wrapped = function.__dict__.get("__wrapped__")
        if wrapped is not None:
            self._later("", wrapped)
        space = function.__globals__
        if modules.find_origin(str(space.get("__name__")), space.get("__file__")) != "project":
            self._visit_module(str(space.get("__name__")))
            self._visit_cells(modules.file_label(space), function, only_functions=True)
            return
        file = modules.file_label(space)
        place, digest = sources.digest_function(function.__code__)
        self.reach.places[place] = digest
        self.reach.add(f"{file}:{_plain(function.__qualname__)}()", digest)
        self._follow(function, file)
        if defaults:
            for name, value in _defaults(function):
                self._later(f"{file}:{_plain(function.__qualname__)}.{name}", value)

    def _follow(self, function: Any, file: str) -> None:
        """Reach what the code of a function names."""
        self.reach.watch_code(function, function.__code__)
        self._visit_cells(file, function)
        attributes: set[str] = set()
        names: dict[str, None] = {}
        for code in _nested(function.__code__):
            attributes.update(code.co_names)
            names.update(dict.fromkeys(_loaded_names(code)))
        for name in names:
            self._visit_name(function.__globals__, name, attributes)
        node = sources.find_function(function.__code__)
        if node is not None:
            self._visit_imports(node, str(function.__globals__.get("__package__") or ""))

    def _visit_name(self, space: dict[str, Any], name: str, attributes: set[str]) -> None:
        value = space.get(name, _MISSING)
        if (value is _MISSING and hasattr(builtins, name)) or (name.startswith("__") and name.endswith("__")):
            return
        self.reach.watch_name(space, name, value)
        if value is _MISSING:
            return
        if isinstance(value, ModuleType) and modules.origin_of(value) == "project":
            if id(value) not in self._seen:
                self._seen[id(value)] = value
                for inner in sorted(attributes & vars(value).keys()):
                    self._visit_name(vars(value), inner, attributes)
                del self._seen[id(value)]
            return
        self._later(f"{modules.file_label(space)}:{name}", value)

    def _visit_cells(self, file: str, function: Any, *, only_functions: bool = False) -> None:
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            value = _contents(cell)
            self.reach.watch_cell(cell, value)
            if value is not _MISSING and (not only_functions or isinstance(value, FunctionType)):
                self._later(f"{file}:{_plain(function.__qualname__)}.{name}", value)

    def _visit_class(self, kind: type) -> None:
        if modules.origin_of_name(kind.__module__) != "project":
            self._visit_module(kind.__module__)
            return
        space = vars(sys.modules.get(kind.__module__, builtins))
        # In a worker `__main__` is another module than the one that the class was written in.
        where, name = f"file {kind.__module__}", f"class {kind.__module__}.{kind.__qualname__}"
        label = modules.file_label(space if space is not vars(builtins) else {"__name__": kind.__module__})
        file = sources.find_adopted(where) or label
        methods = list(_functions_of(kind))
        digest = sources.find_adopted(name) or self._digest_class(kind, methods)
        self.reach.places |= {where: file, name: digest}
        self.reach.add(f"{file}:class {_plain(kind.__qualname__)}", digest)
        for base in (*kind.__bases__, type(kind)):
            self._later("", base)
        for method in methods:
            if id(method) not in self._seen:
                self._seen[id(method)] = method
                self._follow(method, file)

    def _digest_class(self, kind: type, methods: list[Any]) -> str:
        module = sys.modules.get(kind.__module__)
        files = [getattr(module, "__file__", None), *(method.__code__.co_filename for method in methods)]
        for file in dict.fromkeys(files):
            source = sources.read_source(file) if file else None
            node = source.classes.get(kind.__qualname__) if source is not None else None
            if node is not None:
                return sources.digest_syntax(node)
        parts = [f"{method.__qualname__} {sources.digest_function(method.__code__)[1]}" for method in methods]
        parts += [f"{name}={value!r}" for name, value in vars(kind).items() if isinstance(value, _SCALARS)]
        parts.append(repr(vars(kind).get("__annotations__", "")))
        return hashlib.sha256("\0".join(sorted(parts)).encode()).hexdigest()[:32]

    def _visit_instance(self, label: str, value: Any) -> None:
        self._later("", type(value))
        wrapped = getattr(value, "__dict__", {}).get("__wrapped__")
        if wrapped is not None:
            self._later(label, wrapped)
            if hasattr(type(value), "__mainspring_digest__"):
                self.reach.constants.append((label, value))
        elif isinstance(value, tuple | frozenset) and all(isinstance(part, _SCALARS) for part in value):
            parts = sorted(map(repr, value)) if isinstance(value, frozenset) else list(map(repr, value))
            self.reach.add(label, _short(repr(parts).encode()))
        else:
            self.reach.constants.append((label, value))

    def _visit_imports(self, node: ast.AST, package: str) -> None:
        """Reach modules that a function imports for itself, loaded or not."""
        for name in _imported(node, package):
            file = modules.locate(name)
            origin = modules.find_origin(name, file)
            if origin == "installed":
                self._visit_module(name)
            elif origin == "project" and file is not None:
                label = f"{name.replace('.', '/')}.py"
                if label in self.reach.code:
                    continue
                source = sources.read_source(file)
                if source is None:
                    self.reach.add(label, _short(_read(file)))
                    continue
                self.reach.add(label, sources.digest_syntax(source.tree))
                self._visit_imports(source.tree, name if file.endswith("__init__.py") else name.rpartition(".")[0])


def _loaded_names(code: CodeType) -> Iterator[str]:
    """Yield the names that code looks up in its module, in order."""
    instructions = code.co_code
    extended = 0
    for at in range(0, len(instructions), 2):
        operation, argument = instructions[at], instructions[at + 1] | extended
        extended = argument << 8 if operation == _EXTENDED else 0
        if operation == _GLOBAL:
            yield code.co_names[argument >> 1]
        elif operation in _NAMES:
            yield code.co_names[argument]


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _functions_of(kind: type) -> Iterator[Any]:
    for value in vars(kind).values():
        for inner in (
            value,
            getattr(value, "__func__", None),
            getattr(value, "fget", None),
            getattr(value, "fset", None),
            getattr(value, "func", None),
            getattr(value, "__wrapped__", None),
        ):
            if isinstance(inner, FunctionType):
                yield inner


def _defaults(function: Any) -> Iterator[tuple[str, Any]]:
    values = function.__defaults__ or ()
    code = function.__code__
    names = code.co_varnames[code.co_argcount - len(values) : code.co_argcount]
    yield from zip(names, values, strict=True)
    yield from (function.__kwdefaults__ or {}).items()


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Import):
            yield from (alias.name for alias in each.names)
        elif isinstance(each, ast.ImportFrom):
            parts = package.split(".") if package else []
            base = parts[: len(parts) - each.level + 1] if each.level else []
            name = ".".join([*base, each.module] if each.module else base)
            if name:
                yield name
                yield from (f"{name}.{alias.name}" for alias in each.names if _is_submodule(name, alias.name))


def _is_submodule(package: str, name: str) -> bool:
    full = f"{package}.{name}"
    if modules.find_origin(package, modules.locate(package)) != "project":
        return False
    return full in sys.modules or modules.locate(full) is not None


def _contents(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING


def _plain(qualname: str) -> str:
    return qualname.replace("<locals>.", "")


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _read(file: str) -> bytes:
    from pathlib import Path

    try:
        return Path(file).read_bytes()
    except OSError:
        return b""
