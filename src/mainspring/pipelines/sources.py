"""Digests of functions and classes that comments, layout and docstrings do not change."""

from __future__ import annotations

import ast
import hashlib
import linecache
import marshal
import os
import time
import zlib
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

# A file that was written later may not be what this process runs. A forked worker loads the
# project's modules after the fork.
_started_ns = time.time_ns()

# What came with a call, for code whose text is elsewhere or has changed since.
_adopted: dict[str, str] = {}

_APART = frozenset({"decorator_list", "defaults", "kw_defaults"})
_DOCUMENTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef


class Source:
    """The parsed text of one file or notebook cell.

    Attributes
    ----------
    functions : dict
        (first line, name) -> node; None where two lambdas share a line.
    classes : dict
        Qualified name -> node of the last class of that name.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.functions: dict[tuple[int, str], Definition | None] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        self._index(tree)

    def _index(self, tree: ast.Module) -> None:
        waiting: list[tuple[ast.AST, str]] = [(tree, "")]
        while waiting:  # a long sum is a deep tree, so there is no recursion here
            parent, prefix = waiting.pop()
            waiting += [(node, self._note(node, prefix)) for node in ast.iter_child_nodes(parent)]

    def _note(self, node: ast.AST, prefix: str) -> str:
        """Note a definition; return the prefix of what is defined within the node."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            line = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            self.functions[line, node.name] = node
            return f"{prefix}{node.name}.<locals>."
        if isinstance(node, ast.Lambda):
            at = node.lineno, "<lambda>"
            self.functions[at] = None if at in self.functions else node
        elif isinstance(node, ast.ClassDef):
            known = self.classes.get(prefix + node.name)
            if known is None or known.lineno < node.lineno:
                self.classes[prefix + node.name] = node
            return f"{prefix}{node.name}."
        return prefix


def read_source(file: str) -> Source | None:
    """Parse a file or a notebook cell.

    Returns
    -------
    Source or None
        None when there is no text, or when the file was written after this process started, so
        that its text may not be what runs.
    """
    try:
        status = Path(file).stat()
    except (OSError, ValueError):
        return _read_cell(file)
    if status.st_mtime_ns > _started_ns:
        return None
    return _read_file(file, status.st_mtime_ns, status.st_size)


def restart() -> None:
    """Take the present as the start of this process; a child does so after its fork."""
    global _started_ns
    _started_ns = time.time_ns()


os.register_at_fork(after_in_child=restart)


def adopt(places: dict[str, str]) -> None:
    """Take what another process found about the code of a call, in the place of what came with the call before."""
    _adopted.clear()
    _adopted.update(places)


def find_adopted(place: str) -> str | None:
    """Return what another process found at a place, None when none told."""
    return _adopted.get(place)


def is_unchanged(file: str) -> bool:
    """Tell whether a file was last written before this process started."""
    try:
        return Path(file).stat().st_mtime_ns <= _started_ns
    except OSError:
        return False


@cache
def _read_file(file: str, modified_ns: int, size_bytes: int) -> Source | None:  # noqa: ARG001 - they are the memo's key
    try:
        return Source(ast.parse(Path(file).read_bytes()))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def _read_cell(name: str) -> Source | None:
    text = "".join(linecache.getlines(name))
    return _parse_cell(text) if text else None


@cache
def _parse_cell(text: str) -> Source | None:
    try:
        return Source(ast.parse(text))
    except SyntaxError:
        return None


def find_function(code: CodeType) -> Definition | None:
    """Return the syntax of a function's code, None when its text is not known."""
    source = read_source(code.co_filename)
    return source.functions.get((code.co_firstlineno, code.co_name)) if source is not None else None


def digest_function(code: CodeType) -> tuple[str, str]:
    """Digest a function by its syntax, or by its code when it has no text.

    Returns
    -------
    tuple of str and str
        A name of the place, as `adopt` takes it, and the digest.

    Notes
    -----
    Decorators and defaults are left out: what they made of the function, and their values, are
    reached by themselves.
    """
    place = f"{code.co_filename}:{code.co_firstlineno}:{code.co_name}:{_check(code)}"
    known = _adopted.get(place)
    if known is not None:
        return place, known
    node = find_function(code)
    return place, digest_code(code) if node is None else digest_syntax(node)


def digest_syntax(node: ast.AST) -> str:
    """Digest syntax without positions and docstrings; of a function also without decorators and defaults."""
    parts: list[str] = []
    waiting: list[tuple[Any, bool]] = [(node, not isinstance(node, ast.ClassDef))]
    while waiting:
        each, bare = waiting.pop()
        if isinstance(each, ast.AST):
            parts.append(type(each).__name__)
            fields = [(name, getattr(each, name, None)) for name in each._fields if not (bare and name in _APART)]
            if isinstance(each, _DOCUMENTED):
                fields = [(name, _without_docstring(value) if name == "body" else value) for name, value in fields]
            waiting += [(value, bare and isinstance(value, ast.arguments)) for _, value in reversed(fields)]
        elif isinstance(each, list):
            parts.append(f"[{len(each)}")
            waiting += [(value, False) for value in reversed(each)]
        else:
            parts.append(f"{type(each).__name__} {each!r}")
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def digest_code(code: CodeType) -> str:
    """Digest code without text: its instructions, names and constants, not its positions."""
    digest = hashlib.sha256()
    _write_code(code, digest)
    return digest.hexdigest()[:32]


def _without_docstring(body: Any) -> Any:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:]
    return body


def _check(code: CodeType) -> int:
    return zlib.crc32(code.co_code)


def _write_code(code: CodeType, digest: Any) -> None:
    documented = bool(code.co_consts) and isinstance(code.co_consts[0], str)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_argcount, code.co_kwonlyargcount)
    digest.update(code.co_code + repr(names).encode())
    for constant in code.co_consts[1 if documented else 0 :]:
        if isinstance(constant, CodeType):
            _write_code(constant, digest)
        elif isinstance(constant, frozenset):
            digest.update(repr(sorted(constant, key=repr)).encode())
        else:
            digest.update(marshal.dumps(constant, 2))
