"""The user's own modules, as they are loaded in this process."""

from __future__ import annotations

import hashlib
import importlib
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from mainspring.domain.errors import Conflict
from mainspring.pipelines import modules, sources

# Names of loaded modules that are not the project's; a session loads thousands.
_foreign: set[str] = {"__main__", "__mp_main__"}


class Project:
    """What a worker must have to import what this process imported.

    Attributes
    ----------
    paths : tuple of str
        The folders of `sys.path` that a worker does not have by itself, absolute.
    files : dict of str to str
        Module -> digest of its file, for modules that a worker can import by name.
    local : list of module
        Those that it cannot, or would find changed; what they define travels by value.
    """

    def __init__(self) -> None:
        self.paths = _list_paths()
        self.files: dict[str, str] = {}
        self.local: list[ModuleType] = []
        for name in list(sys.modules.keys() - _foreign):
            module = sys.modules.get(name)
            file = getattr(module, "__file__", None)
            if module is None or file is None or modules.find_origin(name, file) != "project":
                _foreign.add(name)
            elif self._finds(name, Path(file)):
                self.files[name] = _digest_file(file)
            else:
                self.local.append(module)

    @property
    def own_modules(self) -> list[ModuleType]:
        """All modules of the project, for what outlives its folder."""
        return [*self.local, *(sys.modules[name] for name in self.files)]

    @property
    def digest(self) -> str:
        """Digest of the modules; a worker that holds others is not used."""
        digest = hashlib.sha256()
        for name, content in sorted(self.files.items()):
            digest.update(f"{name} {content}\n".encode())
        return digest.hexdigest()[:32]

    def find_name(self, function: Any) -> Name | None:
        """Return the name that imports a function, None when it must travel by value."""
        module = sys.modules.get(getattr(function, "__module__", None) or "")
        if module is None or not self._offers(module):
            return None
        found: Any = module
        for part in function.__qualname__.split("."):
            found = getattr(found, part, None)
        for depth in range(10):
            if found is function:
                return Name(module.__name__, function.__qualname__, depth)
            found = getattr(found, "__wrapped__", None)
        return None

    def _offers(self, module: ModuleType) -> bool:
        known = module.__name__ in self.files
        return known or (module.__name__ != "__main__" and modules.origin_of(module) in {"installed", "platform"})

    def _finds(self, name: str, file: Path) -> bool:
        parts = len(name.split("."))
        above = file.parents
        root = above[min(parts if file.stem == "__init__" else parts - 1, len(above) - 1)]
        return str(root) in self.paths and sources.is_unchanged(str(file))


class Name:
    """Stands for a function that is imported: `depth` wrappers below a module's name."""

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


def _list_paths() -> tuple[str, ...]:
    found = []
    for entry in dict.fromkeys(sys.path):
        folder = Path(entry or ".").absolute()
        if folder.is_dir() and modules.find_origin("project", f"{folder}/project.py") == "project":
            found.append(str(folder))
    return tuple(dict.fromkeys(found))


def _digest_file(file: str) -> str:
    try:
        status = Path(file).stat()
    except OSError:
        return "missing"
    return _read_digest(file, status.st_mtime_ns, status.st_size)


@cache
def _read_digest(file: str, modified_ns: int, size_bytes: int) -> str:  # noqa: ARG001 - they are the memo's key
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()
