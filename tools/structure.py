"""The structure gate: sizes, names, import cycles and dead modules, each with its budget.

Run it with ``python tools/structure.py``; it prints every breach and ends with 1 when there is one.
"""

from __future__ import annotations

import ast
import re
import statistics
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "mainspring"

FILE_LINES_MEDIAN = 150
FILE_LINES_P90 = 350
FILE_LINES_MAX = 500
TEST_FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 60
VAGUE_NAMES = frozenset({"base", "common", "helper", "helpers", "manager", "misc", "shared", "util", "utils"})

# Processes start these by name; the rest of the code must be reached from what people import or run.
ENTRY_MODULES = (
    "mainspring",
    "mainspring.__main__",
    "mainspring.cli.main",
    "mainspring.errors",
    "mainspring.types",
    "mainspring.testing",
    "mainspring.store.migrations.env",
)
ENTRY_PACKAGES = ("mainspring.store.migrations.versions.",)
_MODULE_TEXT = re.compile(r"(mainspring(?:\.[a-z_0-9]+)+)(?::[A-Za-z_0-9]+)?\Z")

Tree = ast.Module
Function = ast.FunctionDef | ast.AsyncFunctionDef


def find_breaches(root: Path = ROOT) -> list[str]:
    """Check a clone and describe each breach of a budget in one line.

    Parameters
    ----------
    root : Path
        Top folder of the clone.

    Returns
    -------
    list of str
        Empty when everything stands within its budget.
    """
    source = root / "src" / "mainspring"
    trees = {path: ast.parse(path.read_text("utf-8")) for path in sorted(source.rglob("*.py"))}
    others = [
        path for folder in ("tests", "tools", "bench", "examples") for path in sorted((root / folder).rglob("*.py"))
    ]
    modules = {name_module(path, source): tree for path, tree in trees.items()}
    roots = {*ENTRY_MODULES, *_read_entry_points(root / "pyproject.toml"), *_tested_contracts(root)}
    roots |= {name for name in modules if name.startswith(ENTRY_PACKAGES)}
    found = [
        *check_files([*trees, *others], root),
        *check_medians(list(trees)),
        *check_names(list(trees), source),
        *check_cycles(modules),
        *check_reach(modules, roots & set(modules)),
    ]
    for path in [*trees, *others]:
        tree = trees.get(path) or ast.parse(path.read_text("utf-8"))
        found += check_functions(path.relative_to(root), tree)
        if path in trees:
            found += check_docstrings(path.relative_to(root), tree)
    return found


def check_files(paths: list[Path], root: Path) -> Iterator[str]:
    """Yield each file that is longer than its budget."""
    for path in paths:
        limit = TEST_FILE_LINES_MAX if (root / "tests") in path.parents else FILE_LINES_MAX
        if (lines := _count_lines(path)) > limit:
            yield f"{path.relative_to(root)}: {lines} lines, budget {limit}"


def check_medians(paths: list[Path]) -> Iterator[str]:
    """Yield the median and the ninetieth percentile of file lengths where they pass their budget."""
    sizes = [lines for path in paths if (lines := _count_lines(path)) > 5]
    if len(sizes) < 2:
        return
    for name, value, limit in (
        ("median", statistics.median(sizes), FILE_LINES_MEDIAN),
        ("p90", statistics.quantiles(sizes, n=10)[-1], FILE_LINES_P90),
    ):
        if value > limit:
            yield f"src: {name} of {len(sizes)} files is {value:.0f} lines, budget {limit}"


def check_names(paths: list[Path], source: Path) -> Iterator[str]:
    """Yield each module or package whose name says nothing."""
    for path in paths:
        parts = path.relative_to(source).with_suffix("").parts
        yield from (f"src/{path.name}: '{part}' names no noun of the field" for part in parts if part in VAGUE_NAMES)


def check_functions(path: Path, tree: Tree) -> Iterator[str]:
    """Yield each function that is longer than its budget, its docstring included."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{path}:{node.lineno}: {node.name} has {lines} lines, budget {FUNCTION_LINES_MAX}"


def check_docstrings(path: Path, tree: Tree) -> Iterator[str]:
    """Yield each public module, class and function that says nothing about itself."""
    if ast.get_docstring(tree) is None:
        yield f"{path}: no docstring"
    yield from _find_undocumented(path, tree)


def check_cycles(modules: dict[str, Tree]) -> Iterator[str]:
    """Yield the first cycle of imports at module level, imports for types apart."""
    graph = {name: set(_find_imports(tree.body, modules)) - {name} for name, tree in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as fault:
        yield f"src: import cycle {' -> '.join(reversed(fault.args[1]))}"


def check_reach(modules: dict[str, Tree], roots: set[str]) -> Iterator[str]:
    """Yield each module that nothing which runs can reach, by an import or by its written name."""
    reached: set[str] = set()
    waiting = set(roots)
    while waiting:
        name = waiting.pop()
        reached.add(name)
        parents = {name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)}
        found = parents | set(_find_imports(list(ast.walk(modules[name])), modules)) | _find_named(name, modules[name])
        waiting |= (found & set(modules)) - reached
    yield from (f"src: nothing that runs reaches {name}" for name in sorted(set(modules) - reached))


def name_module(path: Path, source: Path) -> str:
    """Return the dotted name of a module's file.

    Examples
    --------
    >>> name_module(Path("src/mainspring/cli/main.py"), Path("src/mainspring"))
    'mainspring.cli.main'
    """
    parts = path.relative_to(source.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _count_lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def _find_undocumented(path: Path, node: Tree | ast.ClassDef) -> Iterator[str]:
    for child in node.body:
        if not isinstance(child, Function | ast.ClassDef) or child.name.startswith("_"):
            continue
        overload = any(getattr(mark, "id", getattr(mark, "attr", "")) == "overload" for mark in child.decorator_list)
        if ast.get_docstring(child) is None and not overload:
            yield f"{path}:{child.lineno}: {child.name} has no docstring"
        if isinstance(child, ast.ClassDef):
            yield from _find_undocumented(path, child)


def _find_imports(nodes: list[ast.stmt] | list[ast.AST], modules: dict[str, Tree]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            submodules = [name for name in inner if name in modules]
            yield from submodules
            if len(submodules) < len(inner) and node.module in modules:
                yield node.module


def _find_named(name: str, tree: Tree) -> set[str]:
    """Find modules that a module writes as text: `python -m`, entry points, lazy tables of its siblings."""
    found = set()
    package = name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if match := _MODULE_TEXT.match(node.value):
                found.add(match[1])
            elif node.value.isidentifier():
                found |= {f"mainspring.sdk.{node.value}", f"{package}.{node.value}"}
    return found


def _read_entry_points(pyproject: Path) -> set[str]:
    project = tomllib.loads(pyproject.read_text("utf-8"))["project"]
    groups = [project.get("scripts", {}), *project.get("entry-points", {}).values()]
    return {target.partition(":")[0] for group in groups for target in group.values()}


def _tested_contracts(root: Path) -> set[str]:
    found: set[str] = set()
    for path in (root / "tests" / "contract").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def main() -> int:
    """Print every breach; 0 when there is none."""
    found = find_breaches()
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
