"""Where modules come from: the project, an installed distribution, or Python itself."""

from __future__ import annotations

import importlib.util
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

Origin = Literal["project", "installed", "standard", "platform"]

_SITES = frozenset({"site-packages", "dist-packages"})
_FOLDER = re.compile(r"(?P<name>[A-Za-z0-9_.]+?)-(?P<version>[^-]+)(?:-[^-]+)*\.(?:dist|egg)-info\Z")
# Frequent modules whose distribution has another name; any other is looked up in the file lists.
_KNOWN = {
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv_python",
    "dateutil": "python_dateutil",
    "sklearn": "scikit_learn",
    "skimage": "scikit_image",
    "yaml": "pyyaml",
}


def find_origin(name: str, file: str | None) -> Origin:
    """Tell where a module comes from.

    Parameters
    ----------
    name : str
        Its full name.
    file : str or None
        Its `__file__`; None for modules without one, such as those of a notebook's session.

    Returns
    -------
    str
        ``project`` for the user's own code, ``installed`` for what lies in a site-packages folder,
        ``standard`` for Python's library, ``platform`` for Mainspring itself.
    """
    return _find_origin(name, file)


@cache
def _find_origin(name: str, file: str | None) -> Origin:
    top = name.partition(".")[0]
    if top == "mainspring":
        return "platform"
    if name == "__main__":
        return "project" if file is None or not _SITES & set(Path(file).parts) else "installed"
    if top in sys.stdlib_module_names:
        return "standard"
    if file is None:
        return "project" if name not in sys.builtin_module_names else "standard"
    if _SITES & set(Path(file).parts):
        return "installed"
    return "standard" if file.startswith(("<frozen", *_find_standard())) else "project"


@cache
def _find_standard() -> tuple[str, ...]:
    import sysconfig  # reads how Python was built; a script of one file need not know

    return tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})


def origin_of(module: ModuleType) -> Origin:
    """Tell where a loaded module comes from."""
    return _find_origin(module.__name__, getattr(module, "__file__", None))


def origin_of_name(name: str | None) -> Origin:
    """Tell where the loaded module of that name comes from; unknown names are the project's."""
    module = sys.modules.get(name or "")
    return origin_of(module) if module is not None else _find_origin(name or "__main__", None)


def locate(name: str) -> str | None:
    """Return the file of a module without importing it, None when it has none or is not there."""
    module = sys.modules.get(name)
    if module is not None:
        return getattr(module, "__file__", None)
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec is not None and spec.has_location else None


def file_label(namespace: dict[str, Any]) -> str:
    """Name the file of a module's namespace, the same from every folder and process.

    Parameters
    ----------
    namespace : dict
        The `vars` of a module, the `__globals__` of a function.

    Returns
    -------
    str
        ``flights.py``, ``pkg/geo.py``, or ``notebook`` for code without a file.
    """
    name = str(namespace.get("__name__") or "")
    spec = namespace.get("__spec__")
    file = namespace.get("__file__")
    if name == "__main__":
        name = spec.name if spec is not None else ""
    if name and not name.startswith("__"):
        return f"{name.replace('.', '/')}.py"
    return Path(file).name if file else "notebook"


def find_distribution(name: str) -> tuple[str, str]:
    """Return the distribution of an installed module and its version.

    Parameters
    ----------
    name : str
        Full name of the module; it need not be loaded.

    Returns
    -------
    tuple of str and str
        ``("scikit-learn", "1.9.1")``; the module's own name and ``unknown`` when no distribution
        claims it.
    """
    return _find_distribution(name.partition(".")[0])


@cache
def _find_distribution(top: str) -> tuple[str, str]:
    file = locate(top)
    site = next((parent for parent in Path(file).parents if parent.name in _SITES), None) if file else None
    if site is None:
        return top, "unknown"
    installed = list_distributions(site)
    for candidate in (_KNOWN.get(top, top), f"python_{top}", f"py{top}"):
        if candidate.lower() in installed:
            return installed[candidate.lower()][:2]
    for name, version, folder in installed.values():
        if _claims(folder, top):
            return name, version
    return top, "unknown"


@cache
def list_distributions(site: Path) -> dict[str, tuple[str, str, Path]]:
    """Read the distributions of a folder from the names of their metadata folders alone."""
    found = {}
    for folder in site.iterdir():
        match = _FOLDER.match(folder.name)
        if match:
            name = match["name"].replace("-", "_").replace(".", "_")
            found[name.lower()] = (name.replace("_", "-"), match["version"], folder)
    return found


def _claims(folder: Path, top: str) -> bool:
    listed = folder / "top_level.txt"
    if listed.is_file():
        return top in listed.read_text("utf-8").split()
    record = folder / "RECORD"
    if not record.is_file():
        return False
    starts = (f"{top}/", f"{top}.py,", f"{top}.")
    return any(line.startswith(starts) for line in record.read_text("utf-8").splitlines())
